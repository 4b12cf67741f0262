"""What an operator reads about a fault of Kafka: one table from the client's error classes to sentences.

Each sentence names what went wrong, where, and what to do. An error that says only "no connection" is explained by
what the last attempt to connect met, which aiokafka logs and drops (`note_connection_faults`).
"""

from __future__ import annotations

import ssl
from collections.abc import Collection
from functools import cache
from typing import Any, Final

from aiokafka import client, errors
from aiokafka.errors import KafkaError

from infrastructure.errors import OperatorError
from infrastructure.kafka_settings import KafkaSettings

_USER: Final = "The Kafka user"
_ADDRESS: Final = "Check RAS_KAFKA_BOOTSTRAP_SERVERS, and that the broker runs."
_PROTOCOL: Final = "RAS_KAFKA_SECURITY_PROTOCOL must be what this listener of the broker speaks."
_CERTIFICATE: Final = (
    "Where it wants a client certificate, RAS_KAFKA_SSL_CERTFILE and RAS_KAFKA_SSL_KEYFILE name it."
)
_ACL: Final = "Grant it; docs/operations.md lists the ACLs of each role."
_CREDENTIALS: Final = (
    "Check RAS_KAFKA_SASL_MECHANISM and the user name and password (or the OAUTHBEARER client)."
)
_LATER: Final = "RAS tries again by itself; if it lasts, look at the brokers' log."
_RELEASE: Final = "This is a fault of RAS or of a broker that is too old; RAS needs Kafka 2.5 or newer."

_TABLE: Final[tuple[tuple[tuple[type[Exception], ...], str, str], ...]] = (
    (
        (errors.SaslAuthenticationFailed, errors.AuthenticationFailedError),
        "Kafka rejects the credentials",
        _CREDENTIALS,
    ),
    (
        (
            errors.UnsupportedSaslMechanismError,
            errors.AuthenticationMethodNotSupported,
            errors.IllegalSaslStateError,
            errors.SecurityDisabled,
        ),
        "Kafka does not accept this way to authenticate",
        "Set RAS_KAFKA_SASL_MECHANISM and RAS_KAFKA_SECURITY_PROTOCOL to what the broker offers.",
    ),
    ((errors.TopicAuthorizationFailedError,), "The Kafka user lacks an ACL on a topic", _ACL),
    (
        (errors.GroupAuthorizationFailedError,),
        "The Kafka user lacks the ACL READ on the consumer group (RAS_CONSUMER_GROUP)",
        _ACL,
    ),
    (
        (errors.TransactionalIdAuthorizationFailed,),
        "The Kafka user lacks the ACLs WRITE and DESCRIBE on the transactional id (RAS_TRANSACTIONAL_ID)",
        _ACL,
    ),
    ((errors.ClusterAuthorizationFailedError,), "The Kafka user lacks an ACL on the cluster", _ACL),
    (
        (
            errors.DelegationTokenAuthDisabled,
            errors.DelegationTokenNotFound,
            errors.DelegationTokenOwnerMismatch,
            errors.DelegationTokenRequestNotAllowed,
            errors.DelegationTokenAuthorizationFailed,
            errors.DelegationTokenExpired,
            errors.InvalidPrincipalType,
        ),
        "Kafka rejects the delegation token",
        _CREDENTIALS,
    ),
    (
        (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError, errors.RecordTooLargeError),
        "A message is larger than the topic allows",
        "Raise max.message.bytes of the topic (`ras init` creates topics with 10 MiB).",
    ),
    (
        (errors.UnsupportedCodecError, errors.UnsupportedForMessageFormatError),
        "Kafka or the client does not know a compression codec",
        "Set RAS_KAFKA_COMPRESSION_TYPE to another codec, or compression.type of the topic.",
    ),
    (
        (errors.CorruptRecordException,),
        "Kafka holds or received damaged bytes",
        "Look at the disks and the log of the broker that leads the partition.",
    ),
    (
        (
            errors.UnknownTopicOrPartitionError,
            errors.InvalidTopicError,
            errors.InvalidPartitionsError,
        ),
        "A topic or partition does not exist",
        "Run `ras init`, which creates the topics that are missing.",
    ),
    (
        (
            errors.InvalidReplicationFactorError,
            errors.InvalidReplicationAssignmentError,
            errors.InvalidConfigurationError,
            errors.PolicyViolationError,
            errors.TopicAlreadyExistsError,
        ),
        "Kafka refuses to create a topic",
        "Create the topic as the cluster's rules require; docs/operations.md lists the settings.",
    ),
    (
        (
            errors.NotEnoughReplicasError,
            errors.NotEnoughReplicasAfterAppendError,
            errors.ReplicaNotAvailableError,
            errors.KafkaStorageError,
            errors.LogDirNotFound,
            errors.ReassignmentInProgress,
        ),
        "Kafka has too few replicas in sync, or a disk of a broker failed",
        "Bring the brokers back, or compare min.insync.replicas with their number. RAS tries again by itself.",
    ),
    (
        (errors.QuotaViolationError,),
        "The Kafka user exceeds its quota",
        "Raise the quota. RAS tries again by itself.",
    ),
    (
        (
            errors.ProducerFenced,
            errors.InvalidProducerEpoch,
            errors.InvalidTxnState,
            errors.InvalidProducerIdMapping,
            errors.TransactionCoordinatorFenced,
            errors.UnknownProducerId,
            errors.OutOfOrderSequenceNumber,
            errors.DuplicateSequenceNumber,
        ),
        "Kafka ended the publisher's transaction",
        "The publisher reads its position and goes on; two publishers need different values of RAS_TRANSACTIONAL_ID.",
    ),
    (
        (errors.ConcurrentTransactions,),
        "Kafka still ends the last transaction",
        _LATER,
    ),
    (
        (errors.InvalidTransactionTimeout,),
        "Kafka refuses the transaction time-out",
        "Raise transaction.max.timeout.ms of the brokers, or lower RAS_PUBLISH_TIMEOUT_S.",
    ),
    (
        (errors.InvalidSessionTimeoutError,),
        "Kafka refuses the session time-out of the consumer group",
        "Compare group.min.session.timeout.ms and group.max.session.timeout.ms of the brokers with 10 s.",
    ),
    (
        (
            errors.InconsistentGroupProtocolError,
            errors.InvalidGroupIdError,
            errors.NonEmptyGroup,
            errors.GroupIdNotFound,
        ),
        "Kafka refuses the consumer group (RAS_CONSUMER_GROUP)",
        "Another application may use this group: give RAS a group of its own.",
    ),
    (
        (
            errors.IllegalGenerationError,
            errors.UnknownMemberIdError,
            errors.RebalanceInProgressError,
            errors.MemberIdRequired,
            errors.CommitFailedError,
            errors.GroupLoadInProgressError,
            errors.GroupCoordinatorNotAvailableError,
            errors.NotCoordinatorForGroupError,
        ),
        "The consumer group is being reorganised",
        _LATER,
    ),
    (
        (
            errors.LeaderNotAvailableError,
            errors.NotLeaderForPartitionError,
            errors.StaleMetadata,
            errors.StaleControllerEpochError,
            errors.StaleLeaderEpochCodeError,
            errors.NotControllerError,
            errors.ListenerNotFound,
            errors.FetchSessionIdNotFound,
            errors.InvalidFetchSessionEpoch,
        ),
        "Kafka is choosing a leader",
        _LATER,
    ),
    (
        (errors.OffsetOutOfRangeError, errors.NoOffsetForPartitionError),
        "Kafka does not have the offset that RAS asked for",
        'Its retention may have deleted messages: see "Messages that are gone" in docs/operations.md.',
    ),
    (
        (
            errors.UnsupportedVersionError,
            errors.IncompatibleBrokerVersion,
            errors.UnrecognizedBrokerVersion,
            errors.InvalidRequestError,
            errors.InvalidFetchRequestError,
            errors.InvalidTimestampError,
            errors.InvalidRequiredAcksError,
            errors.InvalidCommitOffsetSizeError,
            errors.OffsetMetadataTooLargeError,
            errors.KafkaProtocolError,
            errors.OperationNotAttempted,
            errors.UnknownError,
        ),
        "Kafka refuses a request of RAS",
        _RELEASE,
    ),
    (
        (
            errors.IllegalStateError,
            errors.IllegalArgumentError,
            errors.KafkaConfigurationError,
            errors.ProducerClosed,
            errors.Cancelled,
        ),
        "The Kafka client failed",
        "Please report this with the log.",
    ),
    (
        (
            errors.KafkaConnectionError,
            errors.KafkaTimeoutError,
            errors.KafkaUnavailableError,
            errors.NoBrokersAvailable,
            errors.NodeNotReadyError,
            errors.MetadataEmptyBrokerList,
            errors.BrokerNotAvailableError,
            errors.RequestTimedOutError,
            errors.TooManyInFlightRequests,
            TimeoutError,
            OSError,
        ),
        "Kafka does not answer",
        _ADDRESS,
    ),
)

_last_faults: dict[str, Exception] = {}
"""What the last attempt to connect to each broker met, by address; nothing while it worked."""

_connect = client.create_conn


def sentence(error: BaseException, *, needs: str = "") -> str:
    """Return what to tell an operator about `error` of the Kafka client; `needs` names the ACL of what was tried."""
    if isinstance(error, OperatorError):
        return str(error)
    if isinstance(error, errors.TopicAuthorizationFailedError):
        return missing_acl(needs, _names(error))
    _, what, do = _row(error)
    if what == "Kafka does not answer" and _last_faults:
        address, cause = next(reversed(_last_faults.items()))
        return _of_connection(address, cause)
    if type(error) is KafkaError and error.__cause__ is not None:
        return sentence(error.__cause__, needs=needs)
    if what.startswith(_USER):
        what = what.replace(_USER, f"{_USER} {_principal()}", 1)
    return f"{what}: {_said(error)}. {do}"


def missing_acl(operation: str, topics: Collection[str]) -> str:
    """Return the sentence for a user who lacks `operation` on `topics`."""
    acl = f"the ACL {operation}" if operation else "an ACL (READ to read, WRITE to write, DESCRIBE to look)"
    plural = "s" if len(topics) > 1 else ""
    return (
        f"{_USER} {_principal()} lacks {acl} on the topic{plural} {', '.join(sorted(topics)) or '?'}. {_ACL}"
    )


def _names(error: BaseException) -> list[str]:
    """Return the topics that an error names: the client gives one, several, or a set of them."""
    names: list[str] = []
    for given in error.args:
        names += [given] if isinstance(given, str) else map(str, given)
    return names


@cache
def _principal() -> str:
    return KafkaSettings().principal


def note_connection_faults() -> None:
    """Let every client of this process note why it cannot connect."""
    client.create_conn = _connected


async def _connected(host: str, port: int, **options: Any) -> Any:
    address = f"{host}:{port}"
    try:
        connection = await _connect(host, port, **options)
    except (OSError, KafkaError, TimeoutError) as error:
        _last_faults.pop(address, None)
        _last_faults[address] = error
        raise
    _last_faults.clear()
    return connection


def _of_connection(address: str, cause: Exception) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"The certificate of Kafka at {address} is not accepted: {cause.verify_message}. RAS_KAFKA_SSL_CAFILE must name "
            "the authority that issued it, and RAS_KAFKA_BOOTSTRAP_SERVERS a name that it holds."
        )
    if isinstance(cause, ssl.SSLError):
        return f"TLS with Kafka at {address} failed: {cause.reason or cause}. {_PROTOCOL} {_CERTIFICATE}"
    _, what, do = _row(cause)
    if what != "Kafka does not answer":
        return f"{what} (at {address}): {_said(cause)}. {do}"
    hint = "" if isinstance(cause, OSError) and cause.errno is not None else f" {_PROTOCOL} {_CERTIFICATE}"
    return f"Kafka does not answer at {address}: {_said(cause)}. {_ADDRESS}{hint}"


def _row(error: BaseException) -> tuple[tuple[type[Exception], ...], str, str]:
    for row in _TABLE:
        if isinstance(error, row[0]):
            return row
    return (), "Kafka refuses a request of RAS", _RELEASE


def _said(error: BaseException) -> str:
    return " ".join((str(error) or type(error).__name__).split()).rstrip(".")
