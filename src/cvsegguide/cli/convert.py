"""``cvsegguide convert``: a published checkpoint to safetensors, configuration and model card."""

import argparse
from pathlib import Path

from cvsegguide.cli.parsing import add_options
from cvsegguide.console import done
from cvsegguide.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    guidance = "told from the file by default; true guidance cannot be told from predicted"
    add_options(
        parser,
        ("CHECKPOINT", str, "published checkpoint (.pth.tar)"),
        ("--backbone", ("mst", "featup"), "told from the file by default"),
        ("--guidance", ("predicted", "none", "truth"), guidance),
    )
    parser.add_argument("directory", metavar="DIR", help="folder to write")


def run(arguments: argparse.Namespace) -> int:
    """Convert."""
    from cvsegguide.io.checkpoints import read_state_dict
    from cvsegguide.models.hub import save_model
    from cvsegguide.models.published import detect, from_published

    if Path(arguments.directory).is_file():
        raise ConfigurationError(f"{arguments.directory}: a file, not a folder to write")
    state = read_state_dict(arguments.checkpoint)
    backbone, guidance = arguments.backbone, arguments.guidance
    if backbone is None or guidance is None:
        found = detect(state, arguments.checkpoint)
        backbone, guidance = backbone or found[0], guidance or found[1]
    model = from_published(state, arguments.checkpoint, backbone, guidance)
    card = {
        "license": "that of the publication",
        "license_link": "https://doi.org/10.1016/j.birob.2024.100208",
        "tags": ["published-checkpoint"],
        "Origin": f"Converted from the published checkpoint `{Path(arguments.checkpoint).name}` "
        "of Xavier et al. 2025, doi 10.1016/j.birob.2024.100208. Its training data and licence "
        "are those of that publication.",
    }
    save_model(model, arguments.directory, card)
    done(
        f"{arguments.directory}: {backbone}, guidance {guidance}",
        {"directory": arguments.directory, "backbone": backbone, "guidance": guidance},
    )
    return 0
