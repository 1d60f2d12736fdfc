// Requests to our own server; a fault carries a message for the page.

export class Fault extends Error {
  constructor(status, message, lost) {
    super(message);
    this.status = status;
    this.lost = lost; // the whole session is gone
  }
}

let session = "";

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Fault(0, "the server does not answer; is it still running?", false);
  }
  let content = {};
  try {
    content = await response.json();
  } catch {
    if (response.ok) throw new Fault(response.status, "the server's answer is not understood", false);
  }
  if (!response.ok) {
    throw new Fault(response.status, content.error || `fault ${response.status}`, Boolean(content.lost));
  }
  return content;
}

export async function open() {
  const facts = await ask("api/sessions", { method: "POST" });
  session = facts.session;
  return facts;
}

export function address(...parts) {
  return ["api", session, ...parts].map(encodeURIComponent).join("/");
}

export function upload(kind, file) {
  return ask(address("uploads", kind), {
    method: "POST",
    body: file,
    headers: {
      "Content-Type": "application/octet-stream",
      "X-Filename": encodeURIComponent(file.name),
    },
  });
}

export const example = (name) => ask(address("examples", name), { method: "POST" });
export const question = (wish) =>
  ask(address("jobs"), {
    method: "POST",
    body: JSON.stringify(wish),
    headers: { "Content-Type": "application/json" },
  });
export const job = (name) => ask(address("jobs", name));
export const result = (name) => ask(address("results", name));
