/** Where the server is, what a token looks like, and when it may come (B3, B4). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SERVER, TOKEN, plain, rejection, world } from "./world.mjs";

const goesTo = (w) => w.popups[0]?.posts[0]?.action;

test("the server is the one named in create(), in open(), in the connect_url, or the script's own", async () => {
  const cases = [
    [{ baseURL: "https://a.example" }, {}, undefined, "https://a.example"],
    [{ baseURL: "https://a.example/" }, {}, undefined, "https://a.example"],
    [{}, { baseURL: "https://b.example" }, undefined, "https://b.example"],
    [{ baseURL: "https://a.example" }, { baseURL: "https://b.example" }, undefined, "https://b.example"],
    [{}, { token: "https://c.example/sdk/oauth/connect#session=" + TOKEN }, undefined, "https://c.example"],
    [{}, { token: "http://localhost:8700/sdk/oauth/connect#session=" + TOKEN }, undefined, "http://localhost:8700"],
    [{}, {}, "https://d.example/sdk/v/0.1.0/alter-connect.umd.js", "https://d.example"],
    [{}, {}, "https://d.example:444/sdk/alter-connect.umd.js", "https://d.example:444"],
    [{}, { token: "https://c.example/sdk/oauth/connect#session=" + TOKEN }, "https://d.example/sdk/alter-connect.umd.js", "https://c.example"],
  ];
  for (const [config, options, script, expected] of cases) {
    const w = world({ script });
    const { opened } = await w.start(options, config);
    await opened;
    assert.equal(goesTo(w), expected + "/connect/open");
    assert.equal(w.popups[0].posts[0].fields.session, TOKEN);
  }
});

test("a server that the app pinned is not replaced by the one inside a connect_url", async () => {
  const w = world();
  await w.start({ token: "https://evil.example/sdk/oauth/connect#session=" + TOKEN });
  assert.equal(goesTo(w), SERVER + "/connect/open");
});

test("a connect_url may come from a promise", async () => {
  const w = world();
  const { opened } = await w.start({ token: Promise.resolve("https://c.example/sdk/oauth/connect#session=" + TOKEN) }, {});
  await opened;
  assert.equal(goesTo(w), "https://c.example/connect/open");
});

test("without a server open() rejects with invalid_options and nothing opens", async () => {
  for (const script of [undefined, "https://cdn.example/npm/@alter-ai/connect/dist/alter-connect.umd.js"]) {
    const w = world({ script });
    const { opened } = await w.start({}, {});
    assert.equal((await rejection(opened)).code, "invalid_options");
    assert.deepEqual([w.popups.length, w.calls.length, w.requests.length], [0, 0, 0]);
  }
});

test("a token that turns out to lack a server closes its popup and rejects", async () => {
  const w = world();
  const { opened, popup } = await w.start({ token: async () => TOKEN }, {});
  assert.equal((await rejection(opened)).code, "invalid_options");
  assert.equal(popup.closed, true);
  assert.deepEqual(w.calls, []);
  assert.equal(w.clock.pending, 0);
});

test("t100_a server address is https, or http on loopback, and nothing but an origin", async () => {
  const refused = [
    "javascript:alert(1)",
    "javascript://connect.example.com/%0aalert(1)",
    "data:text/html,x",
    "blob:https://connect.example.com/1",
    "file:///etc/passwd",
    "ftp://connect.example.com",
    "http://connect.example.com",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "http://127.evil.example",
    "http://10.0.0.1",
    "http://0.0.0.0",
    "http://[::2]",
    "http://localhost@evil.example",
    "https://user:secret@connect.example.com",
    "https://connect.example.com/path",
    "https://connect.example.com/?q=1",
    "https://connect.example.com/#x",
    "//connect.example.com",
    "connect.example.com",
    "/",
    42,
    {},
  ];
  for (const baseURL of refused) {
    for (const [config, options] of [[{ baseURL }, {}], [{}, { baseURL }]]) {
      const w = world();
      const { opened } = await w.start(options, config);
      assert.equal((await rejection(opened))?.code, "invalid_options", String(baseURL));
      assert.equal(w.popups.length, 0);
    }
  }
  // Positive control: these pass through the same gate.
  for (const baseURL of ["https://connect.example.com:8443", "http://localhost:8700", "http://127.0.0.1:1", "http://127.8.8.8", "http://[::1]:8700"]) {
    const w = world();
    const { opened } = await w.start({}, { baseURL });
    await opened;
    assert.equal(goesTo(w), baseURL + "/connect/open");
  }
});

test("t100_an address inside a connect_url and the script's own pass the same gate", async () => {
  for (const origin of ["http://connect.example.com", "http://localhost.evil.example", "https://user:secret@connect.example.com"]) {
    const byToken = world();
    const first = await byToken.start({ token: origin + "/sdk/oauth/connect#session=" + TOKEN }, {});
    assert.equal((await rejection(first.opened))?.code, "invalid_options", origin);

    const byScript = world({ script: origin + "/sdk/alter-connect.umd.js" });
    const second = await byScript.start({}, {});
    assert.equal((await rejection(second.opened))?.code, "invalid_options", origin);
    assert.equal(byToken.popups.length + byScript.popups.length, 0);
  }
});

test("a polluted prototype does not choose the server", async () => {
  // Nobody can stop a polluted prototype from supplying options, but its address passes the gate too.
  const w = world();
  const { opened } = await w.start({}, Object.create({ baseURL: "javascript:alert(1)" }));
  assert.equal((await rejection(opened)).code, "invalid_options");
});

test("a malformed token reaches onError as invalid_token before any window opens", async () => {
  const malformed = ["x", "alter_cs_short", TOKEN + "A", TOKEN.slice(0, -1), TOKEN.slice(0, -1) + "-", " " + TOKEN, TOKEN + "\n",
    TOKEN + "&cb=x", "alter_rk_" + TOKEN.slice(9), "https://c.example/other#session=" + TOKEN, "javascript:alert(1)//" + TOKEN];
  for (const token of malformed) {
    const w = world();
    const { opened } = await w.start({ token });
    await opened;
    assert.deepEqual(w.kinds(), ["error"], token);
    assert.equal(w.error().code, "invalid_token");
    assert.deepEqual([w.popups.length, w.requests.length], [0, 0]);
  }
});

test("a malformed token out of an asynchronous function closes the popup again", async () => {
  for (const token of [async () => "nonsense", async () => 42, async () => undefined, async () => ({})]) {
    const w = world();
    const { opened, popup } = await w.start({ token });
    await opened;
    assert.deepEqual(w.kinds(), ["error"]);
    assert.equal(w.error().code, "invalid_token");
    assert.equal(popup.closed, true);
  }
});

test("the token function runs and the popup opens inside the click", () => {
  const w = world();
  const order = [];
  const alter = w.AlterConnect.create({ baseURL: SERVER });
  alter.open({
    ...w.callbacks(),
    token: () => {
      order.push(w.popups.length);
      return new Promise(() => {});
    },
  });
  // Nothing was awaited here. The function comes first: what it returns at once is looked at before a window opens.
  assert.deepEqual([order, w.popups.length], [[0], 1]);
  const { url, name, features } = w.popups[0].opened;
  assert.deepEqual([url, name], ["", ""]);
  assert.equal(features, "width=500,height=700,left=600,top=150");
});

test("a token may be a string, a promise, a function, a function returning a promise", async () => {
  for (const token of [TOKEN, Promise.resolve(TOKEN), () => TOKEN, async () => TOKEN, { then: (ok) => ok(TOKEN) }]) {
    const w = world();
    const { opened } = await w.start({ token });
    await opened;
    assert.equal(w.popups[0].posts[0].fields.session, TOKEN);
  }
});

test("a token that fails is a token_error with its cause, and the popup closes", async () => {
  const cause = new Error("backend said no");
  const failing = [() => () => Promise.reject(cause), () => () => { throw cause; }, () => Promise.reject(cause)];
  for (const make of failing) {
    const w = world();
    const { opened, popup } = await w.start({ token: make() });
    await opened;
    assert.deepEqual(w.kinds(), ["error"]);
    assert.equal(w.calls[0][1].code, "token_error");
    assert.equal(w.calls[0][1].details.cause, cause);
    assert.ok(popup?.closed ?? true);
    assert.equal(w.clock.pending, 0);
  }
});

test("a token that has not come after 60 s is a token_error, and its late arrival changes nothing", async () => {
  const w = world();
  let arrive;
  const { opened, popup } = await w.start({ token: new Promise((resolve) => (arrive = resolve)) });
  await w.clock.advance(59_900);
  assert.deepEqual(w.calls, []);
  await w.clock.advance(600);
  await opened;
  assert.deepEqual(w.kinds(), ["error"]);
  assert.equal(w.error().code, "token_error");
  assert.equal(popup.closed, true);
  arrive(TOKEN);
  await w.clock.advance(5_000);
  assert.deepEqual([w.kinds(), popup.posts, w.requests], [["error"], [], []]);
});

test("a popup closed while the token is pending is an exit, at once and without the server", async () => {
  const w = world();
  const { opened, popup } = await w.start({ token: new Promise(() => {}) });
  popup.closed = true;
  await w.clock.advance(500);
  await opened;
  assert.deepEqual(w.kinds(), ["exit"]);
  assert.equal(w.requests.length, 0);
});

test("a popup closed in the moment in which the token comes is an exit too", async () => {
  const w = world();
  let popup;
  const { opened } = await w.start({ token: async () => (await null, (popup = w.popups[0]), (popup.closed = true), TOKEN) });
  await opened;
  assert.deepEqual([w.kinds(), popup.posts, popup.urls], [["exit"], [], []]);
});

test("missing options are invalid_options, and the message names them", async () => {
  const w = world();
  const alter = w.AlterConnect.create({ baseURL: SERVER });
  for (const options of [undefined, null, {}, { token: TOKEN }, { onSuccess() {} }, { token: "", onSuccess() {} }, { token: TOKEN, onSuccess: 1 }]) {
    const error = await rejection(alter.open(options));
    assert.equal(error.code, "invalid_options");
    assert.equal(error.message, "token, onSuccess");
  }
  assert.equal(w.popups.length, 0);
});

test("a page that is not a secure context is told so before anything opens", async () => {
  const w = world({ secure: false });
  const { opened } = await w.start();
  assert.deepEqual(await rejection(opened), { code: "invalid_options", message: "https page" });
  assert.deepEqual([w.popups.length, w.calls.length], [0, 0]);
});
