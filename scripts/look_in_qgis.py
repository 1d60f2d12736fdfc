#!/usr/bin/python3
"""Open our files in QGIS, without a screen, and look at what it makes of them.

    apt-get install --no-install-recommends python3-qgis qgis-providers
    QT_QPA_PLATFORM=offscreen /usr/bin/python3 scripts/look_in_qgis.py FOLDER OUT.png

With the Python that QGIS came with, which needs nothing of ours. FOLDER holds ``overhead.tif``,
``posterior.tif``, ``landcover.tif``, ``regions.geojson``, ``predictions.geojson`` and perhaps
``predictions.parquet``. Every layer is
loaded as dropping its file on the window does, with the style that QGIS gives it; only the regions
are drawn as outlines with their rank, and the predictions as large dots. What QGIS finds is printed
and checked; the maps go into one picture.
"""

import json
import sys
from pathlib import Path

from osgeo import gdal
from qgis.core import (
    Qgis,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFillSymbol,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsMarkerSymbol,
    QgsPalLayerSettings,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsTextBufferSettings,
    QgsTextFormat,
    QgsVectorLayer,
    QgsVectorLayerSimpleLabeling,
)
from qgis.PyQt.QtCore import QRectF, QSize, Qt
from qgis.PyQt.QtGui import QColor, QFont, QImage, QPainter

SIDE = 560
CAPTION = 34
ACROSS = 2
NEAR = 60.0
"""Metres (of Web Mercator) a side."""


def check(holds: bool, what: str) -> None:
    """Say what was found, and end when it is not so."""
    print(f"{'ok   ' if holds else 'WRONG'} {what}")
    if not holds:
        raise SystemExit(1)


def raster(path: Path) -> QgsRasterLayer:
    """A raster as QGIS opens it."""
    layer = QgsRasterLayer(str(path), path.stem)
    check(
        layer.isValid(), f"{path.name}: {layer.width()} x {layer.height()}, {layer.crs().authid()}"
    )
    return layer


def vector(path: Path) -> QgsVectorLayer:
    """A table of features as QGIS opens it."""
    layer = QgsVectorLayer(str(path), path.stem, "ogr")
    kind = layer.wkbType()
    count = len(json.loads(path.read_text(encoding="utf-8"))["features"])
    check(layer.isValid(), f"{path.name}: {layer.featureCount()} features, {layer.crs().authid()}")
    check(layer.featureCount() == count, f"{path.name}: as many as the file has")
    check(layer.crs().authid() in ("EPSG:4326", "OGC:CRS84"), f"{path.name}: WGS84 (kind {kind})")
    check(
        all(f.geometry().isGeosValid() for f in layer.getFeatures() if f.hasGeometry()),
        f"{path.name}: every geometry is valid",
    )
    return layer


def drawn(layers: list, extent: object, crs: object) -> QImage:
    """A map, the first layer on top."""
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(crs)
    settings.setExtent(extent)
    settings.setOutputSize(QSize(SIDE, SIDE))
    settings.setBackgroundColor(QColor("white"))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    check(not job.errors(), "drawn without an error")
    return job.renderedImage()


def main(folder: Path, out: Path) -> None:
    """Load, check, draw."""
    print("QGIS", Qgis.QGIS_VERSION)
    overhead = raster(folder / "overhead.tif")
    posterior, landcover = raster(folder / "posterior.tif"), raster(folder / "landcover.tif")
    regions = vector(folder / "regions.geojson")
    predictions = vector(folder / "predictions.geojson")
    QgsProject.instance().addMapLayers([overhead, posterior, landcover, regions, predictions])

    for layer in (posterior, landcover):
        check(layer.crs() == overhead.crs(), f"{layer.name()}: system of the overhead image")
        check(layer.extent() == overhead.extent(), f"{layer.name()}: extent of the overhead image")
        levels = layer.dataProvider().buildPyramidList()
        check(any(level.exists for level in levels), f"{layer.name()}: overviews are found")
    kinds = {layer.name(): layer.renderer().type() for layer in (posterior, landcover)}
    check(kinds == {"posterior": "singlebandgray", "landcover": "paletted"}, f"styles: {kinds}")
    check(landcover.dataProvider().sourceNoDataValue(1) == 0, "landcover: 0 is no data")
    colors = {entry.value: entry.color.name() for entry in landcover.renderer().classes()}
    check(colors[5] != colors[6], f"landcover: colours {dict(list(colors.items())[1:9])}")
    found = posterior.dataProvider().bandStatistics(1)
    check(found.minimumValue >= 0 and found.maximumValue <= 1, f"maximum {found.maximumValue:.3g}")

    # The first region's middle, carried by QGIS into the raster's system, is where it is bright.
    first = next(f for f in regions.getFeatures() if f["rank"] == 1)
    carry = QgsCoordinateTransform(regions.crs(), posterior.crs(), QgsProject.instance())
    centre = carry.transform(first.geometry().pointOnSurface().asPoint())
    value, _ = posterior.dataProvider().sample(centre, 1)
    check(value > 0.02 * found.maximumValue, f"region 1 lies on the posterior ({value:.3g} there)")

    regions.renderer().setSymbol(
        QgsFillSymbol.createSimple(
            {"color": "0,0,0,0", "outline_color": "#ff2f92", "outline_width": "0.6"}
        )
    )
    label, letters, halo = QgsPalLayerSettings(), QgsTextFormat(), QgsTextBufferSettings()
    halo.setEnabled(True)
    letters.setSize(12)
    letters.setBuffer(halo)
    label.setFormat(letters)
    label.fieldName = "rank"
    regions.setLabeling(QgsVectorLayerSimpleLabeling(label))
    regions.setLabelsEnabled(True)
    predictions.renderer().setSymbol(
        QgsMarkerSymbol.createSimple({"color": "#ffd400", "outline_color": "black", "size": "3"})
    )

    table = folder / "predictions.parquet"
    if table.exists():
        if gdal.GetDriverByName("Parquet") is None:
            print(f"--   {table.name}: the GDAL of this QGIS was built without Parquet")
        else:
            layer = QgsVectorLayer(str(table), table.stem, "ogr")
            check(layer.isValid(), f"{table.name}: {layer.crs().authid()}")
            check(layer.featureCount() == predictions.featureCount(), f"{table.name}: as many")

    web = QgsCoordinateReferenceSystem("EPSG:3857")
    whole = QgsCoordinateTransform(overhead.crs(), web, QgsProject.instance()).transformBoundingBox(
        overhead.extent()
    )
    near = QgsCoordinateTransform(posterior.crs(), web, QgsProject.instance()).transform(centre)
    close = QgsRectangle.fromCenterAndSize(near, NEAR, NEAR)
    maps = [
        ("posterior.tif, regions.geojson, near region 1", drawn([regions, posterior], close, web)),
        ("regions.geojson over overhead.tif", drawn([regions, overhead], whole, web)),
        ("landcover.tif", drawn([landcover], whole, web)),
        ("predictions.geojson over overhead.tif", drawn([predictions, overhead], whole, web)),
    ]
    down = -(-len(maps) // ACROSS)
    page = QImage(ACROSS * (SIDE + 8) - 8, down * (SIDE + CAPTION), QImage.Format_RGB32)
    page.fill(Qt.white)
    painter = QPainter(page)
    painter.setFont(QFont("DejaVu Sans", 12))
    for number, (title, image) in enumerate(maps):
        left, top = number % ACROSS * (SIDE + 8), number // ACROSS * (SIDE + CAPTION)
        painter.drawText(QRectF(left, top, SIDE, CAPTION), Qt.AlignVCenter | Qt.AlignLeft, title)
        painter.drawImage(left, top + CAPTION, image)
    painter.end()
    page.save(str(out))
    print("drawn:", out)


if __name__ == "__main__":
    application = QgsApplication([], False)
    application.initQgis()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    application.exitQgis()
