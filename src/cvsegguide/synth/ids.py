"""Ids in the tables and rasters of a city."""

# Land cover of New York City, see cvsegguide.landcover.
CANOPY, GRASS, BARE, WATER, HOUSE, ROAD, PAVED, RAIL = range(1, 9)

# Kinds of blocks.
ROW, DETACHED, APARTMENT, INDUSTRY, PARK, SCHOOL, PARKING, SITE = range(8)

# What a shape does, what form it has, and the roof over it.
PAINT, MARK, BUILDING, ON_ROOF = range(4)
RECTANGLE, ELLIPSE, BLOB = range(3)
FLAT, GABLE, HIP, SHED, SAWTOOTH, VAULT = range(6)

# When an object is there.
ALWAYS, OVERHEAD_ONLY, STREET_ONLY = range(3)

# Kinds of vehicles and furniture; the street view has trunks as well.
CAR, VAN, BUS, LAMP, SIGN, HYDRANT, BOX, BENCH, POLE, FENCE = range(10)
TRUNK = 100

# Species with a shape or colour of their own; 0 broad, 1 maple, 2 locust.
CONIFER, PURPLE, SHRUB = 3, 4, 5

# Materials of the ground, then of roofs.
NOTHING, ASPHALT, LOT_ASPHALT, SLABS, CONCRETE, PAVERS, GRAVEL, SOIL, LAWN, MEADOW = range(10)
TURF, COURT, POOL, WATERBODY, BALLAST, STEEL, DECK, CLAY, PLANTING = range(10, 19)
MEMBRANE, TAR, ROOF_GRAVEL, SHINGLE, TILE, METAL = range(32, 38)
GREEN_ROOF, EQUIPMENT, SKYLIGHT, SOLAR, COPING = range(38, 43)
MATERIALS = 48

# Land use.
USE_NONE, USE_STREET, USE_HOUSES, USE_FLATS, USE_SHOPS, USE_INDUSTRY = range(6)
USE_PARK, USE_SCHOOL, USE_PARKING, USE_VACANT, USE_TRANSPORT, USE_WATER = range(6, 12)

# Functions of buildings, 0 unknown.
ROW_HOUSE, DETACHED_HOUSE, FLATS, SHOPS, HALL, SCHOOL_HOUSE = range(2, 8)
