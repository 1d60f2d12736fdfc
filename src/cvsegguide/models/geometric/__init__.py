"""The geometric network: what the street view shows in each direction and at each range, matched
with the overhead image at every position (and heading)."""
