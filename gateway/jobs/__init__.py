"""Work that happens later: filing, sequencing, merging."""
