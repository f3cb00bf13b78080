// The unmodified phoenix package, driven from outside: a command on each line of stdin, {"do", …}, and a line on stdout
// for all that happens, {"is", …}. Ends with its stdin.

import readline from "node:readline";
import { LongPoll, Presence, Socket } from "phoenix";
import WebSocket from "ws"; // Node has one of its own only from version 22 on

let socket;
const channels = new Map();
const tell = (is, what = {}) => console.log(JSON.stringify({ is, ...what }));

// Where a subscriber stands in a channel, as the documentation tells clients to keep it: the join parameters to go on.
class Position {
  params = {};

  joined({ epoch, offset, recovered }) {
    if (this.params.since === undefined) this.params = { since: offset, epoch };
    else if (recovered) this.params.epoch = epoch; // else a gap follows, which says both
  }

  on(event, payload) {
    if (event === "event") this.params.since = payload.offset;
    if (event === "epoch") this.params.epoch = payload.epoch;
    if (event === "gap") this.params = { since: payload.offset, epoch: payload.epoch };
  }
}

function receive(push, is, what) {
  for (const status of ["ok", "error", "timeout"]) {
    push.receive(status, (response) => tell(is, { ...what, status, response }));
  }
}

const commands = {
  connect({ url, options, longPoll }) {
    const soon = { reconnectAfterMs: () => 50, rejoinAfterMs: () => 50 };
    socket = new Socket(url, { transport: longPoll ? LongPoll : WebSocket, ...soon, ...options });
    socket.onOpen(() => tell("open"));
    socket.onClose(({ code, reason }) => tell("close", { code, reason }));
    socket.onError((error) => tell("failure", { message: error.message ?? String(error) }));
    socket.onMessage(({ topic, event, payload }) => {
      if (topic === "phoenix" && event === "phx_reply") tell("heartbeat", { status: payload.status });
    });
    socket.connect();
  },

  // `params` of the first join and `next` of those after it; with `resumes` each says where the last one stopped.
  join({ topic, params = {}, next = params, resumes = false }) {
    const position = new Position();
    let joins = 0;
    const channel = socket.channel(topic, () => ({ ...(joins++ ? next : params), ...(resumes ? position.params : {}) }));
    channels.set(topic, channel);
    for (const event of ["event", "epoch", "gap"]) {
      channel.on(event, (payload) => {
        position.on(event, payload);
        tell(event, { topic, payload });
      });
    }
    channel.onError((reason) => tell("error", { topic, reason }));
    channel.onClose(() => tell("closed", { topic }));
    const presence = new Presence(channel);
    presence.onJoin((key, current, newer) => tell("presence join", { topic, key, first: !current, metas: newer.metas }));
    presence.onLeave((key, current) => tell("presence leave", { topic, key, last: current.metas.length === 0 }));
    presence.onSync(() =>
      tell("presence sync", { topic, members: Object.fromEntries(presence.list((key, { metas }) => [key, metas])) }),
    );
    const push = channel.join().receive("ok", (response) => position.joined(response));
    receive(push, "join", { topic });
  },

  push({ topic, event, payload, binary = false }) {
    const said = binary ? new TextEncoder().encode(JSON.stringify(payload)).buffer : payload;
    receive(channels.get(topic).push(event, said), "reply", { topic, event });
  },

  leave({ topic }) {
    receive(channels.get(topic).leave(), "left", { topic });
  },

  disconnect() {
    socket.disconnect(() => tell("disconnected"));
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  commands[command.do](command);
}
process.exit();
