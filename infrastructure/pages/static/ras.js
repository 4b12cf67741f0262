// Keeps the open page true without reloading it: listens on a WebSocket (browsers allow six event streams per
// host, and a seventh tab would hang), and replaces what has changed in the regions marked with data-live.
"use strict";
(() => {
  const body = document.body;
  const state = document.getElementById("live-state");
  const news = document.getElementById("news");
  const policy = window.trustedTypes
    ? window.trustedTypes.createPolicy("ras", { createHTML: (html) => html })
    : { createHTML: (html) => html };
  let lastId = body.dataset.liveId;
  let loading = false;
  let again = false;
  let next = null;
  let wait = 1000;
  let giveUp = null;
  const heartbeat = 1000 * Number(body.dataset.heartbeatS || 15);

  const show = (now) => { // on, off, or cut-off: connected, and the server cannot reach its database
    if (!state) return;
    const text = { on: state.dataset.on, off: state.dataset.off, "cut-off": state.dataset.cutOff }[now];
    if (state.textContent !== text) state.textContent = text;
    state.className = "live " + (now === "on" ? "on" : "off");
    // A screen reader says that the connection was lost or is back, and not on each page that it is there.
    setTimeout(() => state.setAttribute("role", "status"), 1000);
  };

  // What is being typed or chosen stays: its region is left for the next time.
  const isBusy = (region) => {
    const focused = document.activeElement;
    return region.contains(focused) && /^(INPUT|SELECT|TEXTAREA)$/.test(focused.tagName);
  };

  const replace = (region, fresh) => {
    if (region.outerHTML === fresh.outerHTML || isBusy(region)) return;
    const open = [...region.querySelectorAll("details")].map((each) => each.open);
    const offsets = [...region.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
    const focused = region.contains(document.activeElement) ? document.activeElement : null;
    const tag = focused?.localName;
    const place = focused ? [...region.querySelectorAll(tag)].indexOf(focused) : 0;
    region.replaceChildren(...document.importNode(fresh, true).childNodes);
    for (const { name, value } of [...fresh.attributes]) region.setAttribute(name, value);
    region.querySelectorAll("details").forEach((each, number) => { each.open = open[number] || false; });
    region.querySelectorAll(".scroll").forEach((each, number) => { each.scrollLeft = offsets[number] || 0; });
    if (!focused) return;
    // The same link or button wherever it is by now; of what has no name of its own the one at the same place.
    const same = (each) => ["href", "name", "value"].every((name) => each.getAttribute(name) === focused.getAttribute(name));
    const found = [...region.querySelectorAll(tag)];
    const isNamed = focused.hasAttribute("href") || focused.hasAttribute("value");
    (isNamed ? found.find(same) : found[place])?.focus({ preventScroll: true });
  };

  const refresh = async () => {
    if (loading) { again = true; return; }
    loading = true;
    let failed = false;
    try {
      // Without a limit, an answer that never comes on a dead connection would be waited for indefinitely.
      const signal = AbortSignal.timeout(20000);
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store", signal });
      if (answer.redirected && new URL(answer.url).pathname === "/sign-in") {
        if (!isBusy(document.body)) location.reload(); // else what is being typed would be lost
      } else if (answer.ok) {
        const page = new DOMParser().parseFromString(policy.createHTML(await answer.text()), "text/html");
        // The page of a fault goes as soon as the page that was asked for is there.
        if (document.getElementById("fault") && !page.getElementById("fault")) { location.reload(); return; }
        document.title = page.title;
        for (const region of document.querySelectorAll("[data-live]")) {
          const fresh = page.getElementById(region.id);
          if (fresh) replace(region, fresh);
        }
      }
      failed = answer.status >= 500;
    } catch { failed = true; }
    loading = false;
    if (!again && !failed) return;
    again = false;
    clearTimeout(next); // one try is to come, however many were asked for: a server that fails is not pressed
    next = setTimeout(refresh, failed ? 3000 : 250);
  };

  const tell = (text, forMs = 8000) => {
    const line = document.createElement("p");
    line.textContent = text;
    news.replaceChildren(line);
    setTimeout(() => line.remove(), forMs);
  };

  const connect = () => {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/ws?last_event_id=${encodeURIComponent(lastId)}`);
    let pause = null;
    let heard = Date.now();
    const lost = () => {
      if (giveUp !== lost) return;
      giveUp = null;
      clearInterval(beat);
      socket.onmessage = null;
      socket.close();
      show("off");
      setTimeout(connect, pause ?? wait * (0.5 + Math.random()));
      wait = Math.min(wait * 2, 15000);
    };
    giveUp = lost;
    const beat = setInterval(() => {
      // A browser waits a minute for a dead peer's close; the next connection does not.
      if (Date.now() - heard > 2.6 * heartbeat) lost();
      else if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"ping"}');
    }, heartbeat);
    socket.onmessage = ({ data }) => {
      heard = Date.now();
      const message = JSON.parse(data);
      if (message.id) {
        lastId = message.id;
        wait = 1000;
        show("on");
      }
      if (message.type === "pong") { show(message.cut_off ? "cut-off" : "on"); return; }
      if (message.notification_type === "stream_ready") return;
      if (message.notification_type === "reconnect") { pause = message.after_ms; return; }
      body.dataset.heard = String(Number(body.dataset.heard || 0) + 1);
      const text = news.getAttribute(`data-${message.notification_type}`);
      if (text) tell(text);
      refresh();
    };
    socket.onclose = ({ code }) => {
      if (code === 1008) refresh(); // leads to the sign-in page where the session has ended
      lost();
    };
  };

  document.addEventListener("click", ({ target }) => {
    const slow = target.closest("[data-slow]");
    if (slow) tell(slow.dataset.slow, 20000);
  });
  window.addEventListener("online", () => giveUp?.()); // another network: the old connection is of no use
  if (lastId) connect();
  const every = Number(body.dataset.refreshS);
  if (every) setInterval(() => { if (!document.hidden) refresh(); }, every * 1000);
})();
