// The answer on a map of OpenStreetMap: the browser asks for its tiles once somebody asks for it.

import { draw, make, path } from "./dom.js";

const TILES = "https://tile.openstreetmap.org";
const SIDE = 256;
const DEEPEST = 19;

// Longitude and latitude to pixels of the whole world at a zoom level.
export function project(lon, lat, zoom) {
  const size = SIDE * 2 ** zoom;
  const y = Math.asinh(Math.tan((lat * Math.PI) / 180)) / Math.PI;
  return [((lon + 180) / 360) * size, ((1 - y) / 2) * size];
}

// Image position to longitude and latitude, between the four corners.
export function place(answer, row, col) {
  const [nw, ne, se, sw] = answer.corners;
  const [u, v] = [col / answer.width, row / answer.height];
  return [0, 1].map(
    (i) => (1 - v) * ((1 - u) * nw[i] + u * ne[i]) + v * ((1 - u) * sw[i] + u * se[i]),
  );
}

export class WebMap {
  constructor(element, failed) {
    this.element = element;
    this.failed = failed;
    this.answer = null;
    this.listen();
  }

  show(answer) {
    this.answer = answer;
    const { clientWidth: width, clientHeight: height } = this.element;
    this.zoom = DEEPEST;
    const extent = () => {
      const points = answer.corners.map(([lon, lat]) => project(lon, lat, this.zoom));
      const [xs, ys] = [points.map((p) => p[0]), points.map((p) => p[1])];
      return [Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys)];
    };
    while (this.zoom > 3 && (extent()[0] > width * 0.8 || extent()[1] > height * 0.8)) this.zoom -= 1;
    this.centre = place(answer, answer.height / 2, answer.width / 2);
    this.loaded = 0;
    this.tiles = new Map();
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    const [x, y] = project(...this.centre, this.zoom);
    const [left, top] = [x - width / 2, y - height / 2];
    const count = 2 ** this.zoom;
    const tiles = [];
    for (let i = Math.floor(left / SIDE); i * SIDE < left + width; i += 1) {
      for (let j = Math.max(0, Math.floor(top / SIDE)); j * SIDE < top + height && j < count; j += 1) {
        const address = `${TILES}/${this.zoom}/${((i % count) + count) % count}/${j}.png`;
        const tile = this.tile(address);
        Object.assign(tile.style, {
          position: "absolute", left: `${i * SIDE - left}px`, top: `${j * SIDE - top}px`,
          width: `${SIDE}px`, height: `${SIDE}px`,
        });
        tiles.push(tile);
      }
    }
    const overlay = draw("svg", { class: "overlay" });
    const screen = ([lon, lat]) => {
      const [px, py] = project(lon, lat, this.zoom);
      return [px - left, py - top];
    };
    const ring = (points) => points.map(([col, row]) => screen(place(this.answer, row, col)));
    const frame = this.answer.corners.map(screen);
    overlay.append(draw("path", { d: path([frame]), fill: "none", stroke: "#5b2a86", "stroke-width": 2 }));
    for (const area of [...this.answer.areas].reverse()) {
      const half = area.mass < 0.6;
      overlay.append(
        draw("path", {
          d: path(area.outline.map(ring)), fill: "#5b2a86", "fill-opacity": half ? 0.3 : 0.12,
          stroke: "#5b2a86", "stroke-width": 1.5, "stroke-dasharray": half ? null : "5 4", "fill-rule": "evenodd",
        }),
      );
    }
    const [cx, cy] = screen(place(this.answer, this.answer.row, this.answer.col));
    overlay.append(draw("path", { d: `M${cx - 11} ${cy}h22M${cx} ${cy - 11}v22`, stroke: "#b00060", "stroke-width": 3 }));
    const thanks = make("div", { class: "attribution" }, "© ");
    thanks.append(
      make("a", { href: "https://www.openstreetmap.org/copyright", target: "_blank", rel: "noopener" },
        "OpenStreetMap contributors"),
    );
    this.element.replaceChildren(...tiles, overlay, thanks);
  }

  // Tiles are asked for once, however often the map is drawn.
  tile(address) {
    if (!this.tiles.has(address)) {
      const tile = make("img", { alt: "", draggable: "false" });
      tile.addEventListener("load", () => (this.loaded += 1));
      tile.addEventListener("error", () => this.loaded === 0 && this.failed());
      tile.src = address;
      this.tiles.set(address, tile);
    }
    return this.tiles.get(address);
  }

  by(factor) {
    if (!this.answer) return;
    this.zoom = Math.min(DEEPEST, Math.max(3, this.zoom + (factor > 1 ? 1 : -1)));
    this.draw();
  }

  listen() {
    let last = null;
    this.element.addEventListener("pointerdown", (event) => {
      if (event.target.closest("a")) return;
      this.element.setPointerCapture(event.pointerId);
      last = [event.clientX, event.clientY];
    });
    this.element.addEventListener("pointermove", (event) => {
      if (!last || !this.answer) return;
      const [x, y] = project(...this.centre, this.zoom);
      const size = SIDE * 2 ** this.zoom;
      const [px, py] = [x - event.clientX + last[0], y - event.clientY + last[1]];
      const angle = Math.PI * (1 - (2 * py) / size);
      this.centre = [(px / size) * 360 - 180, (Math.atan(Math.sinh(angle)) * 180) / Math.PI];
      last = [event.clientX, event.clientY];
      this.draw();
    });
    for (const name of ["pointerup", "pointercancel"]) {
      this.element.addEventListener(name, () => (last = null));
    }
    let waited = 0;
    this.element.addEventListener("wheel", (event) => {
      event.preventDefault();
      waited += event.deltaY;
      if (Math.abs(waited) < 60) return;
      this.by(waited < 0 ? 2 : 0.5);
      waited = 0;
    }, { passive: false });
  }
}
