// Small helpers for elements.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (name) => document.getElementById(name);

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  set(element, attributes);
  element.append(...children);
  return element;
}

export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  set(element, attributes);
  element.append(...children);
  return element;
}

export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) element.removeAttribute(name);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

// Rings of [x, y] as the d of a path.
export function path(rings) {
  return rings.map((ring) => `M${ring.map(([x, y]) => `${x} ${y}`).join("L")}Z`).join("");
}

export const sine = (degrees) => Math.sin((degrees * Math.PI) / 180);
export const cosine = (degrees) => Math.cos((degrees * Math.PI) / 180);

// A sector of a circle, azimuths clockwise from up.
export function sector(x, y, radius, middle, extent) {
  if (extent >= 359.9) {
    return `M${x - radius} ${y}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0Z`;
  }
  const [from, to] = [middle - extent / 2, middle + extent / 2];
  const point = (azimuth) => `${x + radius * sine(azimuth)} ${y - radius * cosine(azimuth)}`;
  return `M${x} ${y}L${point(from)}A${radius} ${radius} 0 ${extent > 180 ? 1 : 0} 1 ${point(to)}Z`;
}

export function number(value, digits = 3) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  return Number(value.toPrecision(digits)).toString();
}

export function percent(value) {
  if (value >= 0.0995) return `${(100 * value).toFixed(0)} %`;
  return value >= 0.001 ? `${(100 * value).toFixed(1)} %` : "< 0.1 %";
}

export function surface(squareMetres) {
  if (squareMetres >= 10000) return `${number(squareMetres / 1e4)} ha`;
  return `${number(squareMetres)} m²`;
}

export function coordinates(lon, lat, digits = 6) {
  const north = `${Math.abs(lat).toFixed(digits)}° ${lat < 0 ? "S" : "N"}`;
  return `${north}, ${Math.abs(lon).toFixed(digits)}° ${lon < 0 ? "W" : "E"}`;
}
