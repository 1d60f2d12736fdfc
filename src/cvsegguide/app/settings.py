"""What the app was started with."""

from dataclasses import dataclass, field

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """How much people may bring; together they bound memory, disk and time.

    Attributes:
        upload_bytes: Of one file.
        overhead_pixels, street_pixels: Of one picture; known before it is decoded.
        ground_km2: Ground that an overhead image may cover, where its resolution is known.
        sessions: Open pages at once.
        uploads, results: Kept for one page; the oldest go first.
        arriving: Files on their way at once, of one page; together with what is kept, those of all
            pages stay within ``disk_bytes``, each counted as :attr:`largest_bytes`.
        queue: Localisations that wait at once, of all pages.
        waiting: Localisations that wait or run at once, of one page.
        disk_bytes: Of all that is kept; pages that were not used for longest lose theirs first.
        idle_seconds: After so long without a request a page's files are removed.
        receive_seconds: A file may be on its way for so long.
    """

    upload_bytes: int = 64 * MEBIBYTE
    overhead_pixels: int = 32_000_000
    street_pixels: int = 72_000_000
    ground_km2: float = 0.25
    sessions: int = 64
    uploads: int = 8
    results: int = 6
    arriving: int = 4
    queue: int = 16
    waiting: int = 2
    disk_bytes: int = 4096 * MEBIBYTE
    idle_seconds: float = 3600.0
    receive_seconds: float = 600.0

    @property
    def decoded_bytes(self) -> int:
        """What a TIFF may take in memory, with all of its bands, as it is decoded."""
        return max(12 * self.overhead_pixels, 3 * self.street_pixels)

    @property
    def largest_bytes(self) -> int:
        """What one picture may take on disk: as it comes, or as RGBA or RGB once it is let in."""
        return max(self.upload_bytes, 4 * self.overhead_pixels, 3 * self.street_pixels)


@dataclass(frozen=True)
class Settings:
    """What the app was started with.

    Attributes:
        host: Address that is listened on.
        port: 0 takes a free one.
        models: Weights that can be chosen, the first is preselected. The page sends a number, never
            a path.
        device: As :func:`~cvsegguide.inference.localizer.choose_device` takes it.
        web_map: Whether the page may offer a map of OpenStreetMap, fetched by the browser when
            somebody asks for it.
        limits: How much people may bring.
    """

    host: str = "127.0.0.1"
    port: int = 7861
    models: tuple[str, ...] = ()
    device: str = "auto"
    web_map: bool = True
    limits: Limits = field(default_factory=Limits)
