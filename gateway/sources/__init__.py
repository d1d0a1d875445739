"""The way out: what the gateway asks of other people's systems, and how little it does there."""
