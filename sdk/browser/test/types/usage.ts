/** Compiled, never run: the types as an app uses them. */
import AlterConnect, { type AlterError, type AlterEventName, type Connection, type Grant, type OpenOptions } from "@alter-ai/connect";

const alter: AlterConnect = AlterConnect.create({ debug: true, baseURL: "https://connect.example.com" });

const options: OpenOptions = {
  token: () => fetch("/session").then((response) => response.text()),
  onSuccess: (connection, connections) => {
    const one: Connection = connection;
    const same: Grant = one;
    const ids: string[] = connections.map(({ grant_id }) => grant_id);
    const how: "creation" | "reauth" = one.operation;
  },
  onError: ({ code, message, details }: AlterError) => {
    const text: string = code + message;
    const reason: unknown = details?.reason;
  },
  onExit: () => {},
  onEvent: (name, { timestamp, provider }) => {
    const known: AlterEventName = name;
    const when: string = timestamp;
    const who: string | undefined = provider;
  },
};

const opened: Promise<void> = alter.open(options);
alter.open({ ...options, fallback: "redirect" });
const stop: () => void = alter.on("success", (connection, connections) => {
  const one: Connection = connection;
  const ids: string[] = connections.map(({ grant_id }) => grant_id);
});
const heard = ({ code, message }: AlterError): string => code + message;
alter.on("error", heard);
alter.on("exit", () => {});
alter.off("error", heard);
alter.open({ token: "alter_cs_", onSuccess() {} });
alter.open({ token: Promise.resolve("alter_cs_"), onSuccess: async () => {} });
const open: boolean = alter.isOpen();
const version: string = alter.getVersion();

// @ts-expect-error: a flow without onSuccess has no point
alter.open({ token: "alter_cs_" });
// @ts-expect-error: a token is text
alter.open({ token: 1, onSuccess() {} });
// @ts-expect-error: a popup's events are heard by onEvent
alter.on("event", () => {});
// @ts-expect-error: there is one fallback
alter.open({ ...options, fallback: "popup" });
// @ts-expect-error: there is no such event
const wrong: AlterEventName = "CLOSE";
