"""Settings of a one-node broker for tests: small, quick to start, and with every wait cut short."""

CLUSTER_ID = "UmVzdWx0QWdncmVnYXRvcg"
MESSAGE_MAX_BYTES = 10 * 1024 * 1024

BROKER_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "true",
    "num.partitions": "3",
    "message.max.bytes": str(MESSAGE_MAX_BYTES),
    "replica.fetch.max.bytes": str(MESSAGE_MAX_BYTES),
    # One node cannot replicate; one partition of each internal topic is made faster than 50.
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # Group members come and go at once: no wait for the first ones, and short sessions are allowed.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    # After a kill the next start waits until the dead one's registration has run out: 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # Transactions of a killed producer end when their own time-out says so, not up to 10 s later.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    # Compaction happens seconds after a segment is rolled, with a topic's segment.ms and
    # min.cleanable.dirty.ratio set low; the cleaner looks every 15 s otherwise.
    "log.cleaner.backoff.ms": "500",
    "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
    "log.retention.check.interval.ms": "1000",
    "log.segment.delete.delay.ms": "500",
}
