// Who the visitor is: an app and a key, kept by this browser tab and gone with it.

const NAME = "polyglot-console";

export function load() {
  try {
    return JSON.parse(sessionStorage.getItem(NAME));
  } catch {
    return null;
  }
}

export function save(app, key) {
  sessionStorage.setItem(NAME, JSON.stringify({ app, key }));
}

export function forget() {
  sessionStorage.removeItem(NAME);
}
