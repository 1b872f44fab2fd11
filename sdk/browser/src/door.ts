/**
 * How the popup enters the server, and how the server knows that this page sent it.
 *
 * Door A is a form POST from the blank popup: the browser itself states this page's origin. Where the
 * app's CSP forbids that form, door B sends the popup to an address with the session in its fragment,
 * and the server's page there asks this page for proof.
 */
import type { Session } from "./session";

/** A session, and the proof for the server that popup and page belong together. */
export interface Proven extends Session {
  /** 32 random bytes, base64url. Leaves this page only in an answer to the server's own page. */
  _v: string;
  /** base64url of the SHA-256 of those bytes. Also the id of this flow in messages. */
  _cb: string;
  /** The popup went through door B and has not asked for the proof: an opener policy may have cut it off. */
  _mute?: boolean;
}

/** For 32 bytes only: base64 pads them with exactly one `=`. */
const base64url = (bytes: ArrayLike<number> | ArrayBuffer): string =>
  btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace("=", "");

export async function prove(session: Session): Promise<Proven> {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return { ...session, _v: base64url(bytes), _cb: base64url(await crypto.subtle.digest("SHA-256", bytes)) };
}

/** A blank window in the middle of this one. It has no fixed name, which another flow's window might have. */
export const openPopup = (): Window | null =>
  open(
    "",
    "_blank",
    `width=500,height=700,left=${(screenX + (outerWidth - 500) / 2) | 0},top=${(screenY + (outerHeight - 700) / 2) | 0}`,
  );

/**
 * Sends the blank popup to the server. Returns what sends it through door B if it is blank still: a sandboxed frame
 * without `allow-forms` submits nothing and says nothing.
 */
export function enter(popup: Window, proven: Proven): (() => undefined) | undefined {
  const { _base, _token, _cb } = proven;
  const byFragment = () => {
    proven._mute = true;
    popup.location.replace(`${_base}/sdk/oauth/connect#session=${_token}&cb=${_cb}&m=p`);
  };
  try {
    // Nodes only: `document.write` would cut this window off under some opener policies, and markup
    // would need a Trusted Types policy. All nodes go into the head, where nothing is drawn.
    const page = popup.document;
    const add = <T extends keyof HTMLElementTagNameMap>(tag: T, properties: object, parent: Node = page.head) =>
      parent.appendChild(Object.assign(page.createElement(tag), properties));

    // Chromium and WebKit report a forbidden form by this event, Firefox throws out of submit().
    page.addEventListener("securitypolicyviolation", ({ effectiveDirective, disposition }) => {
      if (effectiveDirective === "form-action" && disposition !== "report") byFragment();
    });
    // Without this element, an app's `no-referrer` would turn the Origin of the POST into `null`.
    add("meta", { name: "referrer", content: "origin" });
    const form = add("form", { method: "post", action: _base + "/connect/open", target: "_top" });
    add("input", { name: "session", value: _token }, form);
    add("input", { name: "cb", value: _cb }, form);
    add("input", { name: "m", value: "p" }, form);
    form.submit();
    return () => {
      try {
        // A window that was closed keeps its document.
        if (!popup.closed && popup.document === page) byFragment();
      } catch {
        // It has left.
      }
    };
  } catch {
    byFragment();
  }
}

/**
 * Sends the proof to the server's page in this flow's popup, and to nobody else: the window, the
 * origin and the flow's id must all match. Returns whether they did. The id keeps the proof from a
 * popup that a hostile provider has steered to another session's link.
 */
export function answerHello({ source, origin, data }: MessageEvent, popup: Window, proven: Proven): boolean {
  const { _base, _v: v, _cb: id } = proven;
  const ours = source === popup && origin === _base && data?.alter === "hello" && data.id === id;
  if (ours) {
    proven._mute = false;
    popup.postMessage({ alter: "proof", id, v }, _base);
  }
  return ours;
}

/**
 * Closes the popup, and tries again for 6 seconds: a close during a navigation can get lost, and one
 * more call on a closed window does no harm.
 */
export function closePopup(popup: Window, left = 20): void {
  popup.close();
  if (!popup.closed && left) setTimeout(closePopup, 300, popup, left - 1);
}
