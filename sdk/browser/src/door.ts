/**
 * How the popup gets into the server, and how the server knows that this page sent it.
 *
 * Door A is a form POST out of the blank popup: the browser itself states this page's origin. Where
 * the app's CSP forbids that form, door B is the session in the fragment, and the page that it opens
 * asks this one for proof.
 */
import type { Session } from "./session";

/** What shows the server that popup and page belong together. */
export interface Proof {
  /** 32 random bytes, base64url. Leaves this page only in an answer to the server's own page. */
  v: string;
  /** base64url of the SHA-256 of those bytes. Also the id of this flow in messages. */
  cb: string;
}

const base64url = (bytes: ArrayLike<number> | ArrayBuffer): string =>
  btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=/g, "");

export async function makeProof(): Promise<Proof> {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return { v: base64url(bytes), cb: base64url(await crypto.subtle.digest("SHA-256", bytes)) };
}

/**
 * A blank window in the middle of this one, or null where the browser blocks it. Its name is new each
 * time: a fixed one could be another flow's window.
 */
export function openPopup(): Window | null {
  const left = (screenX + (outerWidth - 500) / 2) | 0;
  const top = (screenY + (outerHeight - 700) / 2) | 0;
  const popup = open("", "_blank", `width=500,height=700,left=${left},top=${top}`);
  return popup && !popup.closed ? popup : null;
}

/** Sends the blank popup to the server. */
export function enter(popup: Window, { base, token }: Session, cb: string): void {
  const byFragment = () => popup.location.replace(`${base}/sdk/oauth/connect#session=${token}&cb=${cb}&m=p`);
  try {
    // Nodes only: `document.write` would cut this window off under some opener policies, and markup
    // would need a Trusted Types policy.
    const page = popup.document;
    const add = <T extends keyof HTMLElementTagNameMap>(parent: Node, tag: T, properties: object) =>
      parent.appendChild(Object.assign(page.createElement(tag), properties));

    // Chromium and WebKit report a forbidden form by this event, Firefox throws out of submit().
    page.addEventListener("securitypolicyviolation", (event) => {
      if (event.effectiveDirective === "form-action" && event.disposition !== "report") byFragment();
    });
    // Without it an app's `no-referrer` would make the Origin of the POST `null`.
    add(page.head, "meta", { name: "referrer", content: "origin" });
    const form = add(page.body, "form", { method: "post", action: base + "/connect/open", target: "_top" });
    Object.entries({ session: token, cb, m: "p" }).forEach(([name, value]) => {
      add(form, "input", { type: "hidden", name, value });
    });
    form.submit();
  } catch {
    byFragment();
  }
}

/**
 * Answers the server's page in the popup of this flow, and nobody else: it must be that window, that
 * origin and this flow's id. The id refuses a popup that a hostile provider has steered to another
 * session's link.
 */
export const answerHello = (event: MessageEvent, popup: Window, base: string, { v, cb }: Proof): void => {
  if (event.source === popup && event.origin === base && event.data?.alter === "hello" && event.data.id === cb) {
    popup.postMessage({ alter: "proof", id: cb, v }, base);
  }
};

/**
 * Closes the popup and keeps at it for 6 seconds: a close that falls into a page change can get lost,
 * and one more call on a closed window does no harm.
 */
export function closePopup(popup: Window): void {
  let left = 20;
  const attempt = () => {
    popup.close();
    if (!popup.closed && left--) setTimeout(attempt, 300);
  };
  attempt();
}
