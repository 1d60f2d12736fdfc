// The heading as a compass that one turns.

import { cosine, draw, sector, set, sine } from "./dom.js";

export class Dial {
  constructor(place, changed) {
    this.changed = changed;
    this.heading = 0;
    this.fov = 360;
    this.unknown = false;
    this.wedge = draw("path", { class: "wedge" });
    this.needle = draw("line", { class: "needle", x1: 0, y1: 0 });
    this.knob = draw("circle", { class: "knob", r: 5.5 });
    this.svg = draw(
      "svg",
      { class: "dial", viewBox: "-56 -56 112 112", tabindex: 0, role: "slider",
        "aria-label": "heading", "aria-valuemin": 0, "aria-valuemax": 359 },
      draw("circle", { class: "ring", r: 53 }),
      this.wedge,
    );
    for (let azimuth = 0; azimuth < 360; azimuth += 15) {
      const inner = azimuth % 45 ? 49 : 47;
      if (azimuth % 90) {
        this.svg.append(
          draw("line", {
            class: "tick",
            x1: inner * sine(azimuth), y1: -inner * cosine(azimuth),
            x2: 52 * sine(azimuth), y2: -52 * cosine(azimuth),
          }),
        );
      }
    }
    for (const [name, azimuth] of [["N", 0], ["E", 90], ["S", 180], ["W", 270]]) {
      const letter = draw("text", { x: 44 * sine(azimuth), y: -44 * cosine(azimuth) }, name);
      this.svg.append(letter);
    }
    this.svg.append(this.needle, this.knob, draw("text", { class: "query" }, "?"));
    place.append(this.svg);
    this.svg.addEventListener("pointerdown", (event) => {
      this.svg.setPointerCapture(event.pointerId);
      this.turn(event);
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (this.svg.hasPointerCapture(event.pointerId)) this.turn(event);
    });
    this.svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 15, PageDown: -15 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      this.changed((Math.round(this.heading) + step + 360) % 360);
    });
    this.show();
  }

  turn(event) {
    const box = this.svg.getBoundingClientRect();
    const x = event.clientX - box.left - box.width / 2;
    const y = event.clientY - box.top - box.height / 2;
    const azimuth = (Math.atan2(x, -y) * 180) / Math.PI;
    this.changed((Math.round(azimuth) + 360) % 360);
  }

  show(values = {}) {
    Object.assign(this, values);
    const [x, y] = [28 * sine(this.heading), -28 * cosine(this.heading)];
    set(this.needle, { x2: x, y2: y });
    set(this.knob, { cx: x, cy: y });
    set(this.wedge, { d: sector(0, 0, 53, this.heading, Math.min(360, Math.max(1, this.fov))) });
    this.svg.classList.toggle("unknown", this.unknown);
    set(this.svg, {
      "aria-valuenow": Math.round(((this.heading % 360) + 360) % 360),
      "aria-valuetext": this.unknown ? "unknown" : `${Math.round(this.heading)} degrees`,
    });
  }
}
