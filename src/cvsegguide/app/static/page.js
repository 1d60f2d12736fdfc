// The page: what was brought, what is asked, what came back.

import * as api from "./api.js";
import { Dial } from "./dial.js";
import { byId, coordinates, cosine, draw, make, number, percent, sector, sine, surface } from "./dom.js";
import { Sheet } from "./sheet.js";
import { WebMap, place } from "./webmap.js";

const state = { facts: null, overhead: null, street: null, answer: null, classes: null, running: false };
const turns = { overhead: 0, street: 0 }; // the last file that was dropped counts

const sheet = new Sheet(byId("map"), hover);
const webmap = new WebMap(byId("webmap"), mapFailed);
const dial = new Dial(byId("dial"), (heading) => {
  byId("unknown").checked = false;
  byId("heading").value = heading;
  showCamera();
});

// ---- messages

function say(text) {
  const box = byId("message");
  box.hidden = !text;
  if (!text) return;
  const close = make("button", { type: "button", "aria-label": "close" }, "×");
  close.addEventListener("click", () => say(""));
  // A file's name stays as it is.
  const first = /^\S*\./.test(text) ? text.charAt(0) : text.charAt(0).toUpperCase();
  box.replaceChildren(first + text.slice(1) + (/[.!?)]$/.test(text) ? "" : "."), close);
  box.scrollIntoView({ block: "nearest" });
}

async function guarded(work) {
  try {
    say("");
    return await work();
  } catch (fault) {
    if (!(fault instanceof api.Fault)) console.error(fault);
    if (fault.lost) await begin().catch(() => {});
    say(fault.message || String(fault));
    return null;
  }
}

function progress(text, working = false) {
  byId("progress").textContent = text;
  byId("progress").classList.toggle("working", working);
}

// ---- start

async function begin() {
  state.facts = await api.open();
  Object.assign(state, { overhead: null, street: null, answer: null });
  byId("version").textContent = `CVSegGuide ${state.facts.version}`;
  byId("model").replaceChildren(
    ...state.facts.models.map((name, index) => make("option", { value: index }, name)),
  );
  byId("examples").replaceChildren(...state.facts.examples.map(exampleButton));
  for (const kind of ["overhead", "street"]) showDrop(kind);
  showCamera();
}

function exampleButton(example) {
  const button = make("button", { type: "button", title: example.note, "data-name": example.name });
  button.append(make("img", { src: `examples/${example.name}`, alt: "" }), example.title);
  button.addEventListener("click", () => guarded(() => takeExample(example)));
  return button;
}

async function takeExample(example) {
  const turn = [++turns.overhead, ++turns.street];
  progress("fetching the example …", true);
  try {
    const pair = await api.example(example.name);
    if (turn[0] !== turns.overhead || turn[1] !== turns.street) return;
    Object.assign(state, { overhead: pair.overhead, street: pair.street });
    byId("unknown").checked = pair.heading === null;
    byId("heading").value = pair.heading === null ? 0 : round(pair.heading);
    byId("heading-error").value = 0;
    byId("fov").value = round(pair.fov);
    byId("lens").checked = false;
    byId("bounds").value = "";
    for (const kind of ["overhead", "street"]) showDrop(kind);
    showStage();
    mark(example.name);
    showCamera();
    progress(example.note);
  } catch (fault) {
    progress("");
    throw fault;
  }
}

const WIDEST_LENS = 150; // degrees
const radians = (degrees) => (degrees * Math.PI) / 180;
const round = (value) => Math.round(value * 100) / 100;

function mark(name) {
  for (const button of byId("examples").children) button.classList.toggle("on", button.dataset.name === name);
}

// ---- pictures

for (const kind of ["overhead", "street"]) {
  const drop = byId(`drop-${kind}`);
  const input = byId(`file-${kind}`);
  input.addEventListener("change", () => {
    const file = input.files[0];
    input.value = ""; // the same file again is a change, too
    if (file) guarded(() => bring(kind, file));
  });
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (file) guarded(() => bring(kind, file));
  });
}
// A file that misses its field must not replace the page.
for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());

async function bring(kind, file) {
  const turn = ++turns[kind];
  const most = state.facts.limits.upload_bytes;
  if (file.size > most) {
    throw new api.Fault(0, `${file.name}: larger than the ${Math.round(most / 2 ** 20)} MB that are taken here`);
  }
  byId(`drop-${kind}`).classList.add("busy");
  progress(`reading ${file.name} …`, true);
  try {
    const picture = await api.upload(kind, file);
    if (turn !== turns[kind]) return;
    state[kind] = picture;
    mark(null);
    if (kind === "street" && picture.width !== 2 * picture.height && picture.width < 3 * picture.height) {
      progress("is this a part of a panorama? Then set its field of view");
    } else progress("");
    if (kind === "overhead") {
      byId("gsd").value = "";
      byId("bounds").value = "";
      showStage();
    }
  } catch (fault) {
    if (turn === turns[kind]) {
      state[kind] = null; // what was there before is not what was meant
      progress("");
    }
    throw fault;
  } finally {
    if (turn === turns[kind]) {
      byId(`drop-${kind}`).classList.remove("busy");
      showDrop(kind);
    }
  }
}

function showDrop(kind) {
  const picture = state[kind];
  const drop = byId(`drop-${kind}`);
  drop.classList.toggle("full", Boolean(picture));
  const art = drop.querySelector(".drop-art");
  const [title, text] = drop.querySelectorAll(".drop-text > *");
  title.textContent = kind === "overhead" ? "Overhead image" : "Street view";
  if (picture) {
    art.replaceChildren(make("img", { src: api.address("uploads", picture.id, kind), alt: "" }));
    const facts = [`${picture.width} × ${picture.height}`];
    if (picture.gsd !== null) facts.push(`${number(picture.gsd)} m/px`);
    if (picture.crs) facts.push(picture.crs);
    text.textContent = `${picture.name}: ${facts.join(", ")}`;
  } else {
    art.replaceChildren();
    text.textContent = kind === "overhead" ? "GeoTIFF or picture, north up" : "panorama or a part of one, level";
  }
  if (kind === "overhead") {
    const known = picture !== null && picture.bounds !== null;
    byId("gsd").disabled = known;
    if (known) byId("gsd").value = Number(picture.gsd.toPrecision(5));
    else if (!picture) byId("gsd").value = "";
  }
  byId("go").disabled = state.running || !(state.overhead && state.street);
}

function showStage() {
  const picture = state.overhead;
  leave();
  sheet.load(api.address("uploads", picture.id, "overhead"), picture.width, picture.height);
}

// ---- camera

function showCamera() {
  const heading = Number(byId("heading").value);
  const fov = Number(byId("fov").value);
  byId("heading").disabled = byId("heading-error").disabled = byId("unknown").checked;
  byId("fov-slider").value = fov;
  dial.show({
    heading: Number.isFinite(heading) ? heading : 0,
    fov: Number.isFinite(fov) ? fov : 360,
    unknown: byId("unknown").checked,
  });
}
for (const name of ["heading", "fov", "unknown"]) byId(name).addEventListener("input", showCamera);
byId("lens").addEventListener("input", () => {
  // No lens sees a panorama; 69 degrees are a phone's 26 mm.
  if (byId("lens").checked && Number(byId("fov").value) > WIDEST_LENS) byId("fov").value = 69;
  showCamera();
});
byId("fov-slider").addEventListener("input", (event) => {
  byId("fov").value = event.target.value;
  showCamera();
});

// ---- question

function wish() {
  const value = (name) => {
    const text = byId(name).value.trim();
    return text === "" ? null : Number(text);
  };
  const bounds = byId("bounds").value.trim();
  const numbers = bounds ? bounds.split(/[\s,;]+/).map(Number) : null;
  if (numbers && (numbers.length !== 4 || numbers.some(Number.isNaN))) {
    throw new api.Fault(0, "bounds: west, south, east and north are wanted, in degrees");
  }
  const unknown = byId("unknown").checked;
  if (!unknown && value("heading") === null) {
    throw new api.Fault(0, "heading: a number is wanted, or check “unknown”");
  }
  if (value("fov") === null) throw new api.Fault(0, "field of view: a number from 1 to 360 is wanted");
  return {
    overhead: state.overhead.id,
    street: state.street.id,
    model: Number(byId("model").value),
    heading: unknown ? null : value("heading"),
    heading_error: unknown ? null : value("heading-error"),
    fov: value("fov"),
    lens: byId("lens").checked,
    gsd: byId("gsd").disabled ? null : value("gsd"),
    bounds: numbers,
  };
}

byId("question").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!byId("go").disabled) guarded(run);
});

async function run() {
  const asked = wish();
  state.running = true;
  byId("go").disabled = true;
  progress("asking …", true);
  try {
    const { job } = await api.question(asked);
    for (let pause = 150; ; pause = Math.min(1000, pause * 1.2)) {
      const report = await api.job(job);
      if (report.state === "done") {
        show(await api.result(report.result));
        break;
      }
      if (report.state === "failed") throw new api.Fault(422, report.error, false);
      if (report.state === "waiting" && report.ahead > 0) progress(`${report.ahead} before you …`, true);
      else progress(report.warm ? "looking …" : "loading the model …", true);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  } catch (fault) {
    progress("");
    throw fault;
  } finally {
    state.running = false;
    byId("go").disabled = !(state.overhead && state.street);
  }
}

// ---- answer

// Back to a page without an answer.
function leave() {
  state.answer = null;
  state.classes = null;
  for (const name of ["results", "layers", "tabs", "street-panel"]) byId(name).hidden = true;
  tab("image");
}

function show(answer) {
  state.answer = answer;
  const ratio = answer.pixel_size ? answer.pixel_size[0] / answer.pixel_size[1] : 1;
  sheet.load(api.address("uploads", answer.overhead.id, "overhead"), answer.width, answer.height, ratio);
  const layer = (name) => api.address("results", answer.id, "layers", name);
  sheet.lay(answer, Object.fromEntries(answer.layers.map((name) => [name, layer(name)])));
  readClasses(layer("landcover"));
  byId("sight-label").hidden = !answer.layers.includes("sight");
  byId("legend").replaceChildren(
    ...answer.legend.map((entry) => {
      const patch = make("i");
      patch.style.background = entry.color;
      return make("li", {}, patch, `${entry.name} ${percent(entry.share)}`);
    }),
  );
  for (const name of ["results", "layers", "street-panel"]) byId(name).hidden = false;
  const mappable = answer.corners !== null && state.facts.web_map;
  byId("tabs").hidden = byId("tab-map").hidden = !mappable;
  tab("image");
  showLayers();
  showEstimate(answer);
  showRegions(answer);
  showStreet(answer);
  byId("downloads").replaceChildren(
    ...state.facts.files.map(({ name, label }) =>
      make("a", { href: api.address("results", answer.id, "files", name), download: name, "data-file": name }, label),
    ),
  );
  progress(`found in ${number(answer.seconds, 2)} s`);
}

function showEstimate(answer) {
  const facts = [];
  const add = (name, value, kind = "", key = "") => {
    const detail = make("dd", { class: kind, "data-key": key || null }, value);
    facts.push(make("dt", {}, name), detail);
  };
  if (answer.lon !== null) add("position", coordinates(answer.lon, answer.lat), "main", "place");
  add("row, column", `${answer.row.toFixed(1)}, ${answer.col.toFixed(1)}`, answer.lon === null ? "main" : "", "pixel");
  const heading = answer.heading === null ? "unknown" : `${answer.heading.toFixed(1)}°`;
  add(answer.heading_given ? "heading (given)" : "heading (found)", heading, "", "heading");
  for (const area of answer.areas) {
    const size = area.area_m2 === null ? `${area.pixels} px` : surface(area.area_m2);
    add(`${Math.round(100 * area.mass)} % area`, `${size} (${percent(area.share)})`, "", `area-${Math.round(100 * area.mass)}`);
  }
  if (answer.truth) {
    const { error_m: metres, error_px: pixels, inside } = answer.truth;
    const near = inside[1];
    add("error (truth: green)", metres === null ? `${number(pixels)} px` : `${number(metres)} m`, "main", "error");
    const where = inside[0] ? "in the 50 % area" : near ? "in the 90 % area" : "outside of the 90 % area";
    add("truth lies", where, near ? "good" : "bad");
  }
  add("resolution", answer.gsd === null ? "unknown" : `${number(answer.gsd)} m/px`);
  add("model", answer.model);
  byId("estimate").replaceChildren(...facts);
  byId("rose").replaceChildren(...(answer.heading_posterior ? [rose(answer)] : []));
  byId("notes").replaceChildren(...answer.notes.map((note) => make("p", { class: "note" }, note)));
}

// Probabilities of the headings around a compass: a bar a sector, as long as the root of its share.
function rose(answer) {
  const shares = answer.heading_posterior;
  const most = Math.max(...shares);
  const figure = draw("svg", { viewBox: "-70 -62 140 124", role: "img", "aria-label": "probabilities of the headings" });
  figure.append(draw("circle", { r: 46, class: "ring" }));
  const step = 360 / shares.length;
  shares.forEach((share, index) => {
    const radius = 46 * Math.sqrt(share / most);
    if (radius > 0.3) figure.append(draw("path", { class: "petal", d: sector(0, 0, radius, index * step, step) }));
  });
  for (const [name, azimuth] of [["N", 0], ["E", 90], ["S", 180], ["W", 270]]) {
    figure.append(draw("text", { x: 54 * sine(azimuth), y: -54 * cosine(azimuth) }, name));
  }
  return figure;
}

function showRegions(answer) {
  const located = answer.lon !== null;
  const measured = answer.gsd !== null;
  const heads = ["", "probability", measured ? "area" : null, located ? "latitude, longitude" : "row, column"];
  byId("regions").tHead.replaceChildren(
    make("tr", {}, ...heads.filter((name) => name !== null).map((name) => make("th", {}, name))),
  );
  byId("regions").tBodies[0].replaceChildren(
    ...answer.regions.map((region) => {
      const bar = make("span", { class: "bar" });
      bar.style.width = `${Math.max(1, Math.round(44 * region.probability))}px`;
      const cells = [
        make("td", {}, `${region.rank}`),
        make("td", {}, bar, percent(region.probability)),
        measured ? make("td", {}, surface(region.area_m2)) : null,
        make("td", {}, located
          ? `${region.lat.toFixed(6)}, ${region.lon.toFixed(6)}`
          : `${region.row.toFixed(1)}, ${region.col.toFixed(1)}`),
      ];
      const row = make("tr", { tabindex: 0, "data-rank": region.rank }, ...cells.filter(Boolean));
      const choose = () => {
        const rank = sheet.chosen === region.rank ? null : region.rank;
        sheet.choose(rank);
        for (const other of row.parentNode.children) {
          other.classList.toggle("on", Number(other.dataset.rank) === rank);
        }
      };
      row.addEventListener("click", choose);
      row.addEventListener("keydown", (event) => event.key === "Enter" && choose());
      return row;
    }),
  );
}

function showStreet(answer) {
  byId("street-image").src = api.address("uploads", answer.street.id, "street");
  const known = answer.heading !== null;
  const middle = known ? answer.heading : 0;
  const start = middle - answer.fov / 2;
  const most = byId("street-panel").clientWidth / 60; // labels that have room
  const every = [1, 5, 10, 15, 30, 45, 90].find((gap) => answer.fov / gap <= Math.min(8, most)) ?? 90;
  const names = ["N", "NE", "E", "SE", "S", "SW", "W", "NW"];
  const marks = [];
  for (let azimuth = Math.ceil(start / every - 1e-6) * every; azimuth <= start + answer.fov + 1e-6; azimuth += every) {
    const share = answer.lens
      ? 0.5 + Math.tan(radians(azimuth - middle)) / Math.tan(radians(answer.fov / 2)) / 2
      : (azimuth - start) / answer.fov;
    if (share < 0.04 || share > 0.96) continue;
    const turned = ((azimuth % 360) + 360) % 360;
    const text = !known ? `${azimuth > 0 ? "+" : ""}${azimuth}°` : turned % 45 ? `${turned}°` : `${names[turned / 45]} ${turned}°`;
    const label = make("span", {}, text);
    label.style.left = `${100 * share}%`;
    marks.push(label);
  }
  byId("azimuths").replaceChildren(...marks);
}

function showLayers() {
  const scale = byId("scale").value;
  const shown = byId("show-posterior").checked;
  const opacity = Number(byId("opacity-posterior").value) / 100;
  for (const name of ["posterior", "evidence"]) sheet.layer(name, shown && scale === name, opacity);
  sheet.layer("landcover", byId("show-landcover").checked, Number(byId("opacity-landcover").value) / 100);
  sheet.layer("sight", byId("show-sight").checked);
  sheet.toggle("areas", byId("show-areas").checked);
  sheet.toggle("regions", byId("show-regions").checked);
}
for (const input of byId("layers").querySelectorAll("input, select")) input.addEventListener("input", showLayers);

// ---- under the pointer

async function readClasses(address) {
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
  } catch {
    return;
  }
  const canvas = make("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  if (state.answer && image.src.includes(state.answer.id)) state.classes = context;
}

function hover(row, col) {
  const box = byId("cursor");
  const answer = state.answer;
  const picture = answer ?? state.overhead;
  if (row === null || !picture || row < 0 || col < 0 || row >= picture.height || col >= picture.width) {
    box.textContent = "";
    return;
  }
  const parts = [`row ${row.toFixed(1)}, column ${col.toFixed(1)}`];
  if (answer?.corners) parts.push(coordinates(...place(answer, row, col)));
  if (answer && state.classes) {
    const { width, height } = state.classes.canvas;
    const x = Math.floor((col * width) / answer.width);
    const y = Math.floor((row * height) / answer.height);
    const [red, green, blue] = state.classes.getImageData(x, y, 1, 1).data;
    const color = `#${[red, green, blue].map((value) => value.toString(16).padStart(2, "0")).join("")}`;
    const entry = answer.legend.find((item) => item.color === color);
    if (entry) parts.push(entry.name);
  }
  box.textContent = parts.join(" · ");
}

// ---- maps

function tab(name) {
  const image = name === "image";
  byId("map").hidden = !image;
  byId("webmap").hidden = image;
  byId("tab-image").classList.toggle("on", image);
  byId("tab-map").classList.toggle("on", !image);
}

byId("tab-image").addEventListener("click", () => tab("image"));
byId("tab-map").addEventListener("click", () => {
  if (!navigator.onLine) {
    say("this machine is offline: the map of OpenStreetMap cannot be fetched");
    return;
  }
  tab("map");
  webmap.show(state.answer);
});

function mapFailed() {
  if (byId("webmap").hidden) return;
  tab("image");
  say("the map of OpenStreetMap could not be fetched; the answer stays on the image");
}

const onMap = () => !byId("webmap").hidden;
byId("zoom-in").addEventListener("click", () => (onMap() ? webmap.by(2) : sheet.zoom(1.5)));
byId("zoom-out").addEventListener("click", () => (onMap() ? webmap.by(0.5) : sheet.zoom(1 / 1.5)));
byId("zoom-fit").addEventListener("click", () => (onMap() ? webmap.show(state.answer) : sheet.fit()));

guarded(begin);
