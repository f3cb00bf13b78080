// The part of EventSource that the README uses, for versions of node that lack it: one connection, no reconnecting.
globalThis.EventSource ??= class extends EventTarget {
  constructor(url) {
    super();
    this.#read(url);
  }

  async #read(url) {
    const decoder = new TextDecoder();
    let text = "";
    for await (const bytes of (await fetch(url)).body) {
      text += decoder.decode(bytes, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop();
      blocks.forEach((block) => this.#dispatch(block));
    }
  }

  #dispatch(block) {
    const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
    if (fields.data === undefined) return;
    const type = fields.event ?? "message";
    const event = Object.assign(new Event(type), { data: fields.data, lastEventId: fields.id });
    if (type === "message") this.onmessage?.(event);
    this.dispatchEvent(event);
  }
};
