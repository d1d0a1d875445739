"""Who is who: resident ID numbers, organisation codes, identifier systems, linking rules."""
