"""What a source's data is worth: sixteen defects of county hospitals, counted and never shown.

tally = Tally()
for message in reading.messages:
    tally.add(sighting(raw, site, message, day, arrived))
for result in tally.results(): …        # per day and detector: seen, struck, counts by place

Counts only: no value of a patient leaves this room. Adding in another order, or merging the tallies of
two halves, gives the same results.
"""

from mappings.quality.detectors import DETECTORS, Detector, Threshold
from mappings.quality.sighting import Sighting, sighting
from mappings.quality.tally import Result, Tally
from mappings.quality.wording import told

__all__ = ["DETECTORS", "Detector", "Result", "Sighting", "Tally", "Threshold", "sighting", "told"]
