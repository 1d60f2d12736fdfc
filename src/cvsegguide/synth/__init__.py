"""SynthCity: a procedural city with exact truth, and a renderer of street views."""
