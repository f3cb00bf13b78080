// JSON without loss: a number that JavaScript cannot hold, or would write in another way, stays as it was sent.

const canKeep = typeof JSON.rawJSON === "function";

function verbatim(_, value, context) {
  const changed = typeof value === "number" && context?.source !== undefined && String(value) !== context.source;
  return changed && canKeep ? JSON.rawJSON(context.source) : value;
}

export function parse(text) {
  return JSON.parse(text, verbatim);
}

export function pretty(value) {
  return JSON.stringify(value, null, 2);
}

export function compact(value) {
  return JSON.stringify(value);
}

/** What is wrong with a text that should be JSON, in words; "" when nothing is. */
export function fault(text) {
  if (!text.trim()) return "Write some JSON: an object, a list, a text in quotes, a number, true, false or null.";
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return `This is no JSON: ${error.message}.`;
  }
}
