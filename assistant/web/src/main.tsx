import "./styles.css";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./App";
import { Chat } from "./chat";

const chat = new Chat(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/ws`);
chat.start();
addEventListener("online", () => chat.connection.wake());
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !chat.snapshot.status.stopped) chat.connection.wake();
});

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App chat={chat} />
  </StrictMode>,
);
