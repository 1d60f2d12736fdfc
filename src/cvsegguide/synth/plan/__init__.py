"""The plan of a city: fields, street network, blocks, lots, buildings, parks, corridors."""
