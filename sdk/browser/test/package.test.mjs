/** The files that ship: each format loads where it is meant to, and does nothing by being loaded. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import vm from "node:vm";

const require = createRequire(import.meta.url);
const manifest = require("../package.json");
const dist = (file) => readFileSync(new URL("../dist/" + file, import.meta.url), "utf8");

test("by its own name the package gives the same thing to import and to require, in Node as well", async () => {
  const { default: imported } = await import("@alter-ai/connect");
  const { default: required } = require("@alter-ai/connect");
  for (const AlterConnect of [imported, required]) {
    const alter = AlterConnect.create();
    assert.deepEqual(Object.keys(alter), ["open", "on", "off", "close", "destroy", "isOpen", "getVersion"]);
    assert.equal(alter.getVersion(), manifest.version);
    assert.equal(alter.isOpen(), false);
    alter.close();
    alter.destroy();
  }
});

test("the UMD file makes a global, an AMD module or a CommonJS module", () => {
  const code = dist("alter-connect.umd.js");
  const page = vm.createContext({ URL });
  vm.runInContext(code, page);
  assert.equal(typeof page.AlterConnect.create, "function");

  let defined;
  const amd = vm.createContext({ URL, define: Object.assign((factory) => (defined = factory()), { amd: {} }) });
  vm.runInContext(code, amd);
  assert.equal(typeof defined.create, "function");
  assert.equal(amd.AlterConnect, undefined);

  const node = vm.createContext({ URL, module: { exports: {} } });
  node.exports = node.module.exports;
  vm.runInContext(code, node);
  assert.equal(typeof node.module.exports.create, "function");
});

test("the server's name for the CommonJS file is the same file", () => {
  assert.equal(dist("alter-connect.cjs.js"), dist("alter-connect.cjs"));
});

test("nothing in it needs unsafe-inline, unsafe-eval or a Trusted Types policy", () => {
  const sinks = /innerHTML|outerHTML|insertAdjacent|document\.write|\.write\(|\beval\b|new Function|javascript:|srcdoc|setAttribute|\.style\b|<style|<script/;
  assert.match("page.innerHTML=x", sinks);
  for (const format of ["esm", "cjs", "umd"]) assert.doesNotMatch(dist(`alter-connect.${format}.js`), sinks);
});

test("it has no dependencies and no side effects", () => {
  assert.deepEqual([manifest.dependencies, manifest.peerDependencies, manifest.sideEffects], [undefined, undefined, false]);
  for (const version of Object.values(manifest.devDependencies)) assert.match(version, /^\d+\.\d+\.\d+$/);
});
