"""The provable access log: events, the Merkle tree over them, signed checkpoints, verification."""
