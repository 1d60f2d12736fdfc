// The overhead image with everything that lies on it; drag to move, wheel to zoom.

import { draw, make, number, path, sector, set } from "./dom.js";

const LARGEST = 30000; // screen pixels of the longer side

export class Sheet {
  constructor(place, hovered) {
    this.place = place;
    this.hovered = hovered;
    this.sheet = null;
    this.answer = null;
    this.chosen = null;
    this.scale = 1;
    this.left = 0;
    this.top = 0;
    this.touched = false;
    this.listen();
    new ResizeObserver(() => (this.touched ? this.show() : this.fit())).observe(place);
  }

  // A picture of `width` x `height` image pixels, each `stretch` times higher than wide.
  load(picture, width, height, stretch = 1) {
    this.clear();
    Object.assign(this, { width, height: height * stretch, rows: height, stretch });
    this.sheet = make("div", { class: "sheet" });
    this.images = { overhead: make("img", { src: picture, alt: "overhead image", draggable: "false" }) };
    this.outlines = draw("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" });
    this.overlay = draw("svg", { class: "overlay" });
    this.sheet.append(this.images.overhead, this.outlines);
    this.place.append(this.sheet, this.overlay);
    this.fit();
  }

  clear() {
    this.place.replaceChildren();
    this.sheet = null;
    this.answer = null;
    this.chosen = null;
  }

  // `layers`: name -> address of a picture that covers the overhead image.
  lay(answer, layers) {
    this.answer = answer;
    for (const name of ["landcover", "sight", "evidence", "posterior"]) {
      if (!layers[name]) continue;
      const image = make("img", { src: layers[name], alt: "", draggable: "false" });
      image.classList.toggle("crisp", name === "landcover");
      image.dataset.layer = name;
      this.images[name] = image;
      this.sheet.insertBefore(image, this.outlines);
    }
    this.areas = draw("g");
    this.regions = draw("g");
    for (const area of [...answer.areas].reverse()) {
      const name = `area mass-${Math.round(100 * area.mass)}`;
      this.areas.append(draw("path", { class: name, d: path(area.outline), "fill-rule": "evenodd" }));
    }
    for (const region of answer.regions) {
      this.regions.append(
        draw("path", { class: "region", d: path(region.outline), "fill-rule": "evenodd", "data-rank": region.rank }),
      );
    }
    this.outlines.append(this.regions, this.areas);
    this.show();
  }

  layer(name, visible, opacity = 1) {
    const image = this.images?.[name];
    if (!image) return;
    image.hidden = !visible;
    image.style.opacity = opacity;
  }

  toggle(group, visible) {
    if (!this[group]) return;
    this[group].style.display = visible ? "" : "none";
    this.show();
  }

  choose(rank) {
    this.chosen = rank;
    for (const shape of this.regions?.children ?? []) {
      shape.classList.toggle("on", Number(shape.dataset.rank) === rank);
    }
    const region = this.answer?.regions.find((entry) => entry.rank === rank);
    if (!region) return;
    const [x, y] = this.screen(region.row, region.col);
    const { width, height } = this.box();
    if (x < 0 || y < 0 || x > width || y > height) {
      this.left += width / 2 - x;
      this.top += height / 2 - y;
      this.show();
    }
  }

  box() {
    return { width: this.place.clientWidth, height: this.place.clientHeight };
  }

  fit() {
    if (!this.sheet) return;
    const { width, height } = this.box();
    if (width < 50 || height < 50) return; // hidden, or not laid out yet
    this.scale = Math.min((width - 24) / this.width, (height - 24) / this.height);
    this.left = (width - this.width * this.scale) / 2;
    this.top = (height - this.height * this.scale) / 2;
    this.touched = false;
    this.show();
  }

  zoom(factor, x, y) {
    if (!this.sheet) return;
    const { width, height } = this.box();
    [x, y] = [x ?? width / 2, y ?? height / 2];
    const longer = Math.max(this.width, this.height);
    const least = Math.min(width / this.width, height / this.height) / 2;
    const scale = Math.min(LARGEST / longer, Math.max(least, this.scale * factor));
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.touched = true;
    this.show();
  }

  screen(row, col) {
    return [this.left + col * this.scale, this.top + row * this.stretch * this.scale];
  }

  image(x, y) {
    return [(y - this.top) / this.scale / this.stretch, (x - this.left) / this.scale];
  }

  show() {
    if (!this.sheet) return;
    Object.assign(this.sheet.style, {
      left: `${this.left}px`, top: `${this.top}px`,
      width: `${this.width * this.scale}px`, height: `${this.height * this.scale}px`,
    });
    this.overlay.replaceChildren();
    if (!this.answer) return;
    const answer = this.answer;
    const [x, y] = this.screen(answer.row, answer.col);
    if (answer.heading !== null && answer.fov < 359.5) {
      const azimuth = answer.heading - answer.up_azimuth;
      this.overlay.append(draw("path", { class: "cone", d: sector(x, y, 90, azimuth, answer.fov) }));
    } else if (answer.heading !== null && !answer.heading_given) {
      const azimuth = answer.heading - answer.up_azimuth;
      this.overlay.append(draw("path", { class: "cone", d: sector(x, y, 90, azimuth, 24) }));
    }
    if (this.regions.style.display !== "none") {
      for (const region of answer.regions.slice(0, 9)) {
        const right = Math.max(...region.outline.flat().map(([col]) => col));
        const middle = this.screen(region.row, right);
        this.overlay.append(draw("text", { x: middle[0] + 6, y: middle[1] - 8 }, `${region.rank}`));
      }
    }
    if (answer.truth) this.ring(...this.screen(answer.truth.row, answer.truth.col));
    this.cross(x, y);
    this.bar();
    this.north();
  }

  cross(x, y) {
    // Open in the middle, where a narrow posterior lies.
    const lines = `M${x - 15} ${y}h10M${x + 5} ${y}h10M${x} ${y - 15}v10M${x} ${y + 5}v10`;
    this.overlay.append(
      draw("path", { d: lines, stroke: "#000", "stroke-width": 5, "stroke-linecap": "round", fill: "none" }),
      draw("path", { d: lines, stroke: "#00e5ff", "stroke-width": 2.4, "stroke-linecap": "round", fill: "none" }),
    );
  }

  ring(x, y) {
    for (const [color, width] of [["#000", 5], ["#39ff14", 2.4]]) {
      this.overlay.append(draw("circle", { cx: x, cy: y, r: 20, fill: "none", stroke: color, "stroke-width": width }));
    }
  }

  bar() {
    const metre = this.answer.pixel_size ? this.answer.pixel_size[1] : 1;
    const longest = (130 / this.scale) * metre;
    const power = 10 ** Math.floor(Math.log10(longest));
    const length = [5, 2, 1].map((factor) => factor * power).find((value) => value <= longest);
    const width = (length / metre) * this.scale;
    const base = this.box().height - 18;
    for (const [color, thickness] of [["#000", 6], ["#fff", 2.6]]) {
      this.overlay.append(draw("path", { d: `M16 ${base}h${width}`, stroke: color, "stroke-width": thickness }));
    }
    const label = `${number(length)} ${this.answer.pixel_size ? "m" : "px"}`;
    this.overlay.append(draw("text", { x: 16, y: base - 9 }, label));
  }

  north() {
    const x = this.box().width - 30;
    const turn = `rotate(${-this.answer.up_azimuth} ${x} 34)`;
    const arrow = draw("g", { transform: turn });
    for (const [color, width] of [["#000", 5], ["#fff", 2]]) {
      arrow.append(draw("path", { d: `M${x} 52V24m-7 9l7-11 7 11`, stroke: color, "stroke-width": width, fill: "none" }));
    }
    arrow.append(draw("text", { x: x - 5, y: 17 }, "N"));
    this.overlay.append(arrow);
  }

  listen() {
    const pointers = new Map();
    let moved = null;
    this.place.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = this.place.getBoundingClientRect();
      this.zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    this.place.addEventListener("pointerdown", (event) => {
      this.place.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      moved = spread(pointers);
    });
    this.place.addEventListener("pointermove", (event) => {
      const box = this.place.getBoundingClientRect();
      if (this.sheet) this.hovered(...this.image(event.clientX - box.left, event.clientY - box.top));
      if (!pointers.has(event.pointerId) || !this.sheet) return;
      const [x, y] = pointers.get(event.pointerId);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      this.left += (event.clientX - x) / pointers.size;
      this.top += (event.clientY - y) / pointers.size;
      this.touched = true;
      const now = spread(pointers);
      if (pointers.size === 2 && moved && now) {
        this.zoom(now.distance / moved.distance, now.x - box.left, now.y - box.top);
      }
      moved = now;
      this.show();
    });
    for (const name of ["pointerup", "pointercancel"]) {
      this.place.addEventListener(name, (event) => {
        pointers.delete(event.pointerId);
        moved = spread(pointers);
      });
    }
    this.place.addEventListener("pointerleave", () => this.hovered(null, null));
    this.place.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
      if (event.key === "+" || event.key === "=") this.zoom(1.4);
      else if (event.key === "-") this.zoom(1 / 1.4);
      else if (event.key === "0") this.fit();
      else if (moves[event.key] && this.sheet) {
        this.left += moves[event.key][0];
        this.top += moves[event.key][1];
        this.touched = true;
        this.show();
      } else return;
      event.preventDefault();
    });
  }
}

// Middle and distance of two fingers.
function spread(pointers) {
  if (pointers.size !== 2) return null;
  const [[x1, y1], [x2, y2]] = [...pointers.values()];
  return { x: (x1 + x2) / 2, y: (y1 + y2) / 2, distance: Math.max(1, Math.hypot(x1 - x2, y1 - y2)) };
}
