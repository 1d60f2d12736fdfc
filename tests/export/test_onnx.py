"""Exported files answer as the networks do, say what they are, and suffice for `localize`."""

import json

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

import cvsegguide
from cvsegguide.cli.main import main
from cvsegguide.errors import CheckpointError
from cvsegguide.export.networks import describe
from cvsegguide.export.writing import ExportError, write_onnx, write_program
from cvsegguide.inference.description import Description
from cvsegguide.inference.localizer import Localizer
from cvsegguide.inference.onnx import OnnxNetwork
from cvsegguide.models import create_model, save_model
from helpers.commands import run_python

NAMES = ("mst-tiny", "featup-tiny", "geometric-tiny")


def shaken(name, **overrides):
    """A network with weights that make it answer something."""
    torch.manual_seed(0)
    model = create_model(name, **overrides).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim:
                parameter.add_(0.05 * torch.randn_like(parameter))
    if model.searches_headings:
        model.sharpen(3.0)  # an untrained network hardly prefers any place
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Of each name, when first asked for: the network and its file."""
    made = {}

    def get(name):
        if name not in made:
            model = shaken(name)
            path = tmp_path_factory.mktemp("onnx") / f"{name}.onnx"
            difference = write_onnx(model, path, name, "apache-2.0")
            assert difference < 1e-3
            made[name] = model, path
        return made[name]

    return get


def scene(shape=(64, 64), seed=0):
    """A smooth picture, so that neighbouring pixels agree."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (shape[0] // 8, shape[1] // 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((shape[1], shape[0]), Image.BILINEAR))


def one_size(model):
    """A localizer that sees large images in windows, as a file has to."""
    localizer = Localizer(model, device="cpu")
    localizer.network.any_size = None
    return localizer


@pytest.mark.parametrize("name", NAMES)
def test_any_batch_as_the_network(exported, name):
    import onnxruntime

    model, path = exported(name)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    overhead = torch.rand(3, 3, *model.overhead_size)
    street = torch.rand(3, 3, *model.street_size)
    feed = {"overhead": overhead.numpy(), "street": street.numpy()}
    if model.searches_headings:
        feed["headings"] = np.zeros(1, np.float32)
    heatmap, log, cover = session.run(["heatmap", "log_posterior", "landcover_scores"], feed)
    with torch.inference_mode():
        wanted = model(overhead, street)
        posterior = model.log_posterior(wanted)
    assert wanted.heatmap.std() > 0.01
    assert np.abs(heatmap - wanted.heatmap.numpy()).max() < 1e-3
    assert np.abs(log - posterior.numpy()).max() < 1e-3
    assert np.abs(cover - wanted.landcover.numpy()).max() < 1e-3


@pytest.mark.parametrize(
    "change", [{"prior": False}, {"visibility": False}, {"pooled": True}], ids=str
)
def test_networks_without_a_part_as_they_are(change):
    model = shaken("geometric-tiny", **change)
    model.search_sharpness.fill_(0.7)
    written = model.prepare_export()
    overhead = torch.rand(2, 3, *model.overhead_size)
    street = torch.rand(2, 3, *model.street_size)
    for headings in (torch.zeros(1), torch.arange(12) * 30.0):
        with torch.no_grad():
            expected = model.log_posterior(model(overhead, street, None, headings))
            found = model.log_posterior(written(overhead, street, None, headings))
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_segment_with_a_file(exported, tmp_path):
    model, path = exported("mst-tiny")
    Image.fromarray(scene((120, 150))).save(tmp_path / "overhead.png")
    command = ["segment", str(tmp_path / "overhead.png"), "--gsd", str(model.gsd)]
    assert main([*command, "--model", str(path), "--out", str(tmp_path / "out.tif")]) == 0
    wanted = Localizer(model, device="cpu").segment(scene((120, 150)), gsd=model.gsd)
    with rasterio.open(tmp_path / "out.tif") as raster:
        assert (raster.read(1) == wanted).mean() > 0.999


def test_the_file_says_what_it_is_and_nothing_of_the_machine(exported):
    model, path = exported("mst-tiny")
    facts = OnnxNetwork(path).description
    assert facts == describe(model, "mst-tiny", "apache-2.0")
    assert facts.version == cvsegguide.__version__
    assert facts.channels == ("tree canopy", "building", "road", "other impervious")
    assert facts.channel_ids == (1, 5, 6, 7)
    assert facts.street_extent == (90.0, 360.0)
    content = path.read_bytes()
    for trace in ("site-packages", "cvsegguide/models", str(path.parent)):
        assert trace.encode() not in content


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", None, "not written by `cvsegguide export`"),
        ("format", "7", "format '7'"),
        ("gsd", "-1", "damaged metadata 'gsd'"),
        ("inverse_temperature", "0", "damaged metadata 'inverse_temperature'"),
        ("overhead_size", "[64]", "damaged metadata 'overhead_size'"),
        ("channels", "{", "damaged metadata 'channels'"),
        ("channel_ids", None, "damaged metadata 'channel_ids'"),
    ],
)
def test_damaged_metadata_is_named(key, value, message):
    metadata = describe(shaken("geometric-tiny"), "x", "none").to_metadata()
    metadata.pop(f"cvsegguide.{key}")
    if value is not None:
        metadata[f"cvsegguide.{key}"] = value
    with pytest.raises(CheckpointError, match=message):
        Description.from_metadata(metadata, "file.onnx")


@pytest.mark.parametrize("variant", ["corrected", "published"])
def test_the_posterior_follows_from_the_metadata(variant):
    model = shaken("mst-tiny", variant=variant)
    with torch.inference_mode():
        prediction = model(torch.rand(2, 3, 64, 64), torch.rand(2, 3, 32, 128))
        wanted = model.log_posterior(prediction).numpy()
    found = describe(model, "x", "none").log_posterior(prediction.heatmap.numpy())
    assert np.abs(found - wanted).max() < 1e-5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(64, 64), (100, 90), (40, 150)])
def test_localizers_agree(exported, name, shape):
    model, path = exported(name)
    arguments = {"gsd": model.gsd, "heading": 33.0}
    plain = one_size(model)
    wanted = plain.localize(scene(shape), scene((64, 256), 1), **arguments)
    found = Localizer.from_pretrained(path).localize(scene(shape), scene((64, 256), 1), **arguments)
    assert found.model == name
    assert found.posterior.shape == shape
    assert np.abs(found.posterior - wanted.posterior).max() < 1e-3 * wanted.posterior.max()
    assert (found.landcover == wanted.landcover).mean() > 0.999
    assert (found.row, found.col) == pytest.approx((wanted.row, wanted.col), abs=0.01)
    assert found.heading == wanted.heading == 33.0
    assert len(found.regions) == len(wanted.regions)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((64, 256), {"heading": None}),
        ((64, 256), {"heading": 100.0, "heading_error": 30.0}),
        ((64, 256), {"camera_height": 5.0}),
        ((64, 256), {"camera_height": "unknown", "heading": None}),
        ((60, 128), {"fov": 90.0}),
    ],
    ids=str,
)
def test_what_is_known_of_the_view_counts_the_same(exported, shape, options):
    model, path = exported("geometric-tiny")
    plain = one_size(model)
    wanted, found = (
        localizer.localize(scene((64, 100)), scene(shape, 1), gsd=model.gsd, **options)
        for localizer in (plain, Localizer.from_pretrained(path))
    )
    assert np.abs(found.posterior - wanted.posterior).max() < 1e-3 * wanted.posterior.max()
    assert found.heading == pytest.approx(wanted.heading, abs=0.1)
    if options.get("heading", 0.0) is None:
        assert np.abs(found.heading_posterior - wanted.heading_posterior).max() < 1e-4
    else:
        assert found.heading_posterior is wanted.heading_posterior is None
    # it counts for several times what the two may differ by
    usual = plain.localize(scene((64, 100)), scene(shape, 1), gsd=model.gsd)
    assert np.abs(usual.posterior - wanted.posterior).max() > 5e-3 * usual.posterior.max()


def test_localize_without_pytorch(exported, tmp_path):
    _, path = exported("geometric-tiny")
    Image.fromarray(scene()).save(tmp_path / "overhead.png")
    Image.fromarray(scene((64, 256), 1)).save(tmp_path / "street.png")
    code = (
        "import sys\n"
        "from cvsegguide.cli.main import main\n"
        "status = main(sys.argv[1:])\n"
        "heavy = [name for name in sys.modules if name.split('.')[0] in ('torch', 'lightning')]\n"
        "assert not heavy, heavy\n"
        "sys.exit(status)\n"
    )
    command = ["localize", "overhead.png", "street.png", "--model", str(path), "--out", "out"]
    place = ["--bounds", "-73.99", "40.7", "-73.98983", "40.70013", "--heading", "unknown"]
    done = run_python("-c", code, *command, *place, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "model      geometric-tiny" in done.stdout
    table = json.loads((tmp_path / "out" / "result.json").read_text())
    assert table["model"] == "geometric-tiny"
    assert len(table["heading_posterior"]) == 64
    assert table["regions"]
    with rasterio.open(tmp_path / "out" / "posterior.tif") as posterior:
        assert posterior.crs is not None
        assert posterior.read(1).sum(dtype=np.float64) == pytest.approx(1, abs=1e-5)
    assert (tmp_path / "out" / "regions.geojson").is_file()
    assert Image.open(tmp_path / "out" / "figure.png").width > 800


def test_a_file_with_other_answers_is_not_left(tmp_path):
    model = shaken("geometric-tiny")
    wrong = model.prepare_export()
    wrong.prior_weight.add_(0.5)
    model.prepare_export = lambda: wrong
    with pytest.raises(ExportError, match="not written: heatmap differs"):
        write_program(model, tmp_path / "network.pt2", "tiny")
    assert list(tmp_path.iterdir()) == []


def test_a_program_of_torch_export_from_the_shell(tmp_path, capsys):
    model = shaken("geometric-tiny")
    save_model(model, tmp_path / "weights", {"license": "cc0-1.0"})
    out = tmp_path / "network.pt2"
    command = ["export", "--model", str(tmp_path / "weights"), "--out", str(out)]
    assert main([*command, "--name", "mine"]) == 0
    assert "differs from the network by" in capsys.readouterr().out
    extra = {"cvsegguide.json": ""}
    program = torch.export.load(out, extra_files=extra).module()
    facts = Description.from_metadata(json.loads(extra["cvsegguide.json"]), "x")
    assert (facts.model, facts.license) == ("mine", "cc0-1.0")
    assert facts.overhead_size == model.overhead_size
    overhead, street = torch.rand(4, 3, 64, 64), torch.rand(4, 3, 32, 128)
    with torch.no_grad():
        heatmap = program(overhead, street, torch.zeros(1))[0]
        assert (heatmap - model(overhead, street).heatmap).abs().max() < 1e-3
