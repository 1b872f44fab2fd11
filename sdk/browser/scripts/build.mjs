/**
 * Builds `dist/`: one bundle, three wrappers written by hand (a bundler's wrappers cost 150 bytes and
 * more), and the declarations. The same input gives the same bytes, so that CI can check `dist/`.
 *
 *   node scripts/build.mjs            writes dist/
 *   node scripts/build.mjs --check    compares dist/ with a fresh build, fails if it differs
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { minify } from "terser";

const root = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const banner = "/*! Apache-2.0 */\n";

/** The minified program without its export, and the name that the instance factory has in it. */
async function bundle(umd) {
  const { outputFiles } = await build({
    entryPoints: [join(root, "src/index.ts")],
    bundle: true,
    write: false,
    format: "esm",
    // The browser floor, in a form that esbuild understands; `npm run check:floor` checks the result.
    target: "es2020",
    minify: true,
    mangleProps: /^_/,
    define: { VERSION: JSON.stringify(version), UMD: String(umd) },
  });
  const { code } = await minify(outputFiles[0].text, {
    module: true,
    compress: { passes: 3, ecma: 2020, unsafe_arrows: true, hoist_funs: true },
    mangle: true,
    format: { ecma: 2020 },
  });
  const tail = /export\{(\w+) as default\};$/;
  const exported = tail.exec(code);
  if (!exported) throw new Error("the bundle does not end in its default export");
  return { body: code.replace(tail, ""), factory: exported[1] };
}

/** The declarations of the entry file, which names every public type. */
function declarations() {
  const out = mkdtempSync(join(tmpdir(), "connect-types-"));
  try {
    execFileSync(
      process.execPath,
      [join(root, "node_modules/typescript/bin/tsc"), "-p", root, "--declaration", "--emitDeclarationOnly", "--outDir", out],
      { stdio: "inherit" },
    );
    const text = readFileSync(join(out, "index.d.ts"), "utf8");
    if (/^import /m.test(text)) throw new Error("the public types must not need another file");
    return text;
  } finally {
    rmSync(out, { recursive: true });
  }
}

async function files() {
  const module = await bundle(false);
  const script = await bundle(true);
  const types = declarations();
  const esm = `${banner}${module.body}export{${module.factory} as default};\n`;
  const cjs = `${banner}${module.body}exports.__esModule=!0,exports.default=${module.factory};\n`;
  const umd =
    `${banner}(()=>{${script.body}"object"==typeof exports?module.exports=${script.factory}:globalThis.define?.amd?` +
    `define(()=>${script.factory}):globalThis.AlterConnect=${script.factory}})();\n`;
  return {
    "alter-connect.esm.js": esm,
    // Node and bundlers judge by the extension: in a package of type "module" only `.cjs` is CommonJS.
    "alter-connect.cjs": cjs,
    // The server offers the same file under this name.
    "alter-connect.cjs.js": cjs,
    "alter-connect.umd.js": umd,
    "alter-connect.d.ts": types,
    "alter-connect.d.cts": types,
  };
}

const check = process.argv.includes("--check");
mkdirSync(join(root, "dist"), { recursive: true });
for (const [file, text] of Object.entries(await files())) {
  const path = join(root, "dist", file);
  if (!check) writeFileSync(path, text);
  else if (readFileSync(path, "utf8") !== text) {
    console.error(`dist/${file} is not what the sources build to: run "npm run build" and commit it`);
    process.exitCode = 1;
  }
}
