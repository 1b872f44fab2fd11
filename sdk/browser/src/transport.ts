/**
 * Which way the user goes to the server: in a popup beside this page, or in this tab, which comes back to the
 * session's `return_url`.
 */

/** What a browser says about itself. */
export interface Device {
  userAgent: string;
  maxTouchPoints: number;
  /** Whether the page was started from an iOS home screen. */
  standalone?: boolean;
}

/**
 * Whether the page leaves by a redirect: on a phone (a window of at most 480 px), on a tablet held upright, in a web app
 * on an iOS home screen, where a popup would open in another browser.
 *
 * An iPad says that it is a Mac, none of which has a touch screen. Whatever else asks for the desktop's pages gets what
 * a desktop gets. The window of an unfolded phone held upright is nearly square.
 */
export const leavesPage = (device: Device, width: number, height: number): unknown =>
  device.standalone ||
  ((/Android|Mobi|Tablet;/.test(device.userAgent) || (device.maxTouchPoints && /Mac/.test(device.userAgent))) &&
    width <= Math.max(480, height * 1.1));
