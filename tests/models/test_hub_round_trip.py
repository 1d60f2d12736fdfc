"""Up to a Hugging Face Hub and down again, through the real client; and a Hub that is not there."""

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from cvsegguide.errors import CheckpointError
from cvsegguide.models import create_model, load_model, save_model
from cvsegguide.models import hub as hub_module
from cvsegguide.models.card import PLACE, model_card
from helpers.commands import run_python
from helpers.hub_server import hub

PUSH = """
import json, sys, torch
from cvsegguide.cli.main import main
from cvsegguide.errors import CVSegGuideError
from cvsegguide.models import create_model, load_model, push_to_hub, save_model

torch.manual_seed(0)
model = create_model("mst-tiny").eval()
card = {
    "license": "apache-2.0",
    "Training data": "none: it is a test",
    "results": [{"dataset": "nothing at all", "metrics": {"median error (m)": 12.5}}],
}
said = {"commit": push_to_hub(model, "someone/tiny", card)}
save_model(model, "folder", {"license": "mit", "Training data": "kept from the folder"})
push_to_hub("folder", "someone/copy")
for name in ("someone/tiny", "someone/copy"):
    again = load_model(name)
    assert again.config() == model.config()
    for key, value in again.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[key], rtol=0, atol=0)
for what, action in {
    "unknown": lambda: load_model("someone/else"),
    "nowhere": lambda: push_to_hub("no-such-folder", "someone/other"),
}.items():
    try:
        action()
    except CVSegGuideError as error:
        said[what] = str(error)
print(json.dumps(said))
"""


def client(folder: Path, endpoint: str, code: str, token: str = "hf_test") -> Any:
    """Run code in a process whose Hub is ``endpoint``."""
    hub = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hf"), "HF_TOKEN": token}
    plain = {"HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    return run_python("-c", code, cwd=folder, **hub, **plain)


@pytest.mark.slow
def test_round_trip(tmp_path: Path) -> None:
    with hub() as server:
        done = client(tmp_path, server.address, PUSH)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["commit"].startswith(f"{server.address}/someone/tiny/commit/")
        assert said["unknown"].startswith("someone/else: neither a local file")
        assert "no-such-folder" in said["nowhere"]
        assert set(server.repositories["someone/tiny"]) == {
            "README.md",
            "config.json",
            "model.safetensors",
        }
        tiny, copy = (
            server.repositories[name]["README.md"].decode()
            for name in ("someone/tiny", "someone/copy")
        )
        assert 'from_pretrained("someone/tiny")' in tiny
        assert "kept from the folder" in copy
        assert PLACE not in tiny + copy
        licences = {header["license"] for header in server.cards}
        assert licences == {"apache-2.0", "mit"}, "the Hub has accepted both headers"

        refused = (
            "from cvsegguide.models import create_model, push_to_hub\n"
            "push_to_hub(create_model('mst-tiny'), 'someone/tiny')"
        )
        done = client(tmp_path, server.address, refused, token="hf_wrong")
        assert "InputError: someone/tiny: could not be uploaded (" in done.stderr

    # The Hub has gone: what was fetched once still loads, and soon.
    cached = (
        "import time; from cvsegguide.models import load_model; start = time.monotonic()\n"
        "load_model('someone/tiny'); print(time.monotonic() - start)"
    )
    done = client(tmp_path, server.address, cached)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < hub_module.PATIENCE + 10
    assert "the copy in the cache; the Hub said: no connection to" in done.stderr


def test_the_card_is_valid_and_complete() -> None:
    facts = {
        "license": "apache-2.0",
        "Training data": 'SynthCity: 640 tiles, "quoted"',
        "results": [{"dataset": "towns, unseen", "metrics": {"median error (m)": 0.4}}],
    }
    card = ModelCard(model_card(create_model("mst-tiny"), facts))
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "cvsegguide"
    (result,) = card.data.eval_results
    assert (result.dataset_name, result.metric_value) == ("towns, unseen", 0.4)
    for words in ("## Training data", '"quoted"', "| median error (m) | 0.4 |", "## Limits"):
        assert words in card.text
    bare = ModelCard(model_card(create_model("mst-tiny"), {}))
    assert bare.data.license == "unknown"
    odd = ModelCard(model_card(create_model("mst-tiny"), {"license": "Ask: the authors"}))
    assert (odd.data.license, odd.data.license_name) == ("other", "ask-the-authors")
    own = ModelCard(model_card(create_model("mst-tiny"), {"Limits": "none known"}))
    assert own.text.count("## Limits") == 1


@pytest.mark.parametrize("name", list(hub_module.bundled_weights()))
def test_cards_of_the_bundled_weights(name: str) -> None:
    text = (hub_module.bundled_weights()[name] / "README.md").read_text(encoding="utf-8")
    data = yaml.safe_load(text.split("---\n")[1])
    assert data["license"] == "apache-2.0"
    assert data["library_name"] == "cvsegguide"
    for heading in ("Training data", "Limits", "Errors"):
        assert f"\n## {heading}" in text


def test_a_hub_that_does_not_answer_costs_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that refuses, nor a name server that is silent for ever."""
    import huggingface_hub

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    real = huggingface_hub.hf_hub_url
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_url", lambda *names: real(*names, endpoint=address)
    )
    monkeypatch.setattr(hub_module, "PATIENCE", 0.5)
    start = time.monotonic()
    with pytest.raises(CheckpointError, match=r"^nobody/refused: .*\(no connection to https://"):
        load_model("nobody/refused")
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *a, **b: time.sleep(30))
    with pytest.raises(CheckpointError, match=r"no answer within 0\.5 seconds"):
        load_model("nobody/silent")
    assert time.monotonic() - start < 15


def test_a_saved_folder_has_the_card_too(tmp_path: Path) -> None:
    save_model(create_model("mst-tiny"), tmp_path, {"license": "mit"})
    assert ModelCard((tmp_path / "README.md").read_text()).data.license == "mit"
