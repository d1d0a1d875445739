"""Who is who: resident ID numbers, identifier systems, linking rules."""
