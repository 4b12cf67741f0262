"""The live stream: notifications and the state of batches, as they happen."""
