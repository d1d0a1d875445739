"""May this be shared? Pure values in, a closed set of answers out; no clock, disk, web or database."""
