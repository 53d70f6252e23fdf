"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const audio = document.getElementById("audio");
  const scroll = document.getElementById("scroll");
  const spacer = document.getElementById("spacer");
  const canvas = document.getElementById("wave");
  const readout = document.getElementById("readout");
  const context = canvas.getContext("2d");

  // The samples come out of the embedded WAV (44-byte header, stereo s16), so that zoom reaches
  // single samples; one minimum and maximum for each BLOCK samples keeps wide views fast.
  const bytes = Uint8Array.from(atob(audio.getAttribute("src").split(",")[1]),
    (c) => c.charCodeAt(0));
  const pcm = new Int16Array(bytes.buffer, 44, (bytes.length - 44) >> 1);
  const total = pcm.length >> 1;
  const BLOCK = 64;
  const peaks = [0, 1].map((channel) => {
    const blocks = Math.ceil(total / BLOCK);
    const low = new Int16Array(blocks), high = new Int16Array(blocks);
    for (let block = 0; block < blocks; block++) {
      let least = 32767, most = -32768;
      for (let i = block * BLOCK, end = Math.min(total, i + BLOCK); i < end; i++) {
        const value = pcm[2 * i + channel];
        if (value < least) least = value;
        if (value > most) most = value;
      }
      low[block] = least; high[block] = most;
    }
    return { low, high };
  });
  const loudest = [0, 1].map((channel) => {
    let most = 1;
    for (let i = channel; i < pcm.length; i += 2) most = Math.max(most, Math.abs(pcm[i]));
    return most;
  });

  const lengthMs = Math.max(data.length_ms, 1);
  const HEIGHT = 340, RULER = 22, TEXT = 40, LANE = 112, GAP = 10;
  const laneTop = { caller: RULER + TEXT, agent: RULER + TEXT + LANE + GAP };
  const textTop = { caller: RULER, agent: RULER + TEXT + 2 * LANE + GAP };
  let pxPerMs = 0, hover = null, drag = null, colors = {};

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const readColors = () => {
    for (const name of ["bg", "panel", "ink", "soft", "line", "caller", "agent", "caller-soft",
      "agent-soft", "alarm", "ok", "mark", "now"]) colors[name] = css("--" + name);
  };
  const width = () => scroll.clientWidth;
  const fitScale = () => width() / lengthMs;
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const x = (ms) => ms * pxPerMs - scroll.scrollLeft;
  const msAt = (px) => (px + scroll.scrollLeft) / pxPerMs;
  const clock = (ms, digits) => {
    const minutes = Math.floor(ms / 60000), seconds = (ms - minutes * 60000) / 1000;
    return minutes + ":" + seconds.toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  };

  function setScale(next, anchorPx) {
    const anchor = anchorPx === undefined ? width() / 2 : anchorPx;
    const at = pxPerMs ? msAt(anchor) : 0;
    pxPerMs = clamp(next, fitScale(), 40);
    spacer.style.width = Math.max(width(), Math.floor(lengthMs * pxPerMs)) + "px";
    scroll.scrollLeft = at * pxPerMs - anchor;
    draw();
  }
  function show(fromMs, toMs) {
    setScale(width() / Math.max(1, toMs - fromMs), 0);
    scroll.scrollLeft = fromMs * pxPerMs;
    draw();
  }

  function ruler() {
    const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000];
    const step = steps.find((s) => s * pxPerMs >= 70) || 300000;
    const digits = step < 10 ? 3 : step < 100 ? 2 : step < 1000 ? 1 : 0;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "left";
    for (let ms = Math.floor(msAt(0) / step) * step; ms <= msAt(width()); ms += step) {
      const at = Math.round(x(ms)) + .5;
      context.strokeStyle = colors.line;
      context.beginPath(); context.moveTo(at, 0); context.lineTo(at, HEIGHT); context.stroke();
      context.fillStyle = colors.soft;
      context.fillText(clock(ms, digits), at + 4, 14);
    }
  }

  function waveform(channel, who) {
    const middle = laneTop[who] + LANE / 2, scale = (LANE / 2 - 6) / loudest[channel];
    context.strokeStyle = context.fillStyle = colors[who];
    const perPx = 1 / pxPerMs * data.rate_hz / 1000;
    const first = msAt(0) * data.rate_hz / 1000;
    if (perPx < 1.5) {
      context.beginPath();
      const from = Math.max(0, Math.floor(first)), to = Math.min(total - 1, first + width() * perPx + 2);
      for (let i = from; i <= to; i++) {
        const px = x(i * 1000 / data.rate_hz), y = middle - pcm[2 * i + channel] * scale;
        if (i === from) context.moveTo(px, y); else context.lineTo(px, y);
      }
      context.stroke();
      return;
    }
    for (let px = 0; px < width(); px++) {
      const from = Math.floor(first + px * perPx), to = Math.min(total, Math.floor(first + (px + 1) * perPx));
      if (from >= total) break;
      let least = 32767, most = -32768;
      if (perPx >= 4 * BLOCK) {
        const { low, high } = peaks[channel];
        for (let b = Math.floor(from / BLOCK); b < Math.ceil(to / BLOCK); b++) {
          if (low[b] < least) least = low[b];
          if (high[b] > most) most = high[b];
        }
      } else {
        for (let i = from; i < Math.max(to, from + 1); i++) {
          const value = pcm[2 * i + channel];
          if (value < least) least = value;
          if (value > most) most = value;
        }
      }
      const top = middle - most * scale, height = Math.max(1, (most - least) * scale);
      context.fillRect(px, top, 1, height);
    }
  }

  function segments() {
    for (const segment of data.segments) {
      const left = x(segment.start_ms), right = x(segment.end_ms);
      if (right < 0 || left > width()) continue;
      context.fillStyle = colors[segment.who + "-soft"];
      context.fillRect(left, laneTop[segment.who], Math.max(1, right - left), LANE);
      context.fillStyle = colors[segment.who];
      context.fillRect(left, laneTop[segment.who] + LANE - 3, Math.max(1, right - left), 3);
    }
  }

  function gaps() {
    context.font = "11px system-ui, sans-serif";
    for (const turn of data.turns) {
      const left = x(turn.start_ms), right = x(turn.start_ms + turn.mouth_to_ear_ms);
      if (right < 0 || left > width()) continue;
      const y = laneTop.agent - GAP / 2;
      context.strokeStyle = colors.ok; context.lineWidth = 2;
      context.beginPath();
      context.moveTo(left, y - 6); context.lineTo(left, y + 6);
      context.moveTo(left, y); context.lineTo(right, y);
      context.moveTo(right, y - 6); context.lineTo(right, y + 6);
      context.stroke(); context.lineWidth = 1;
      if (right - left > 44) {
        const label = Math.round(turn.mouth_to_ear_ms) + " ms";
        const size = context.measureText(label).width;
        context.fillStyle = colors.panel;
        context.fillRect((left + right - size) / 2 - 3, y - 7, size + 6, 14);
        context.fillStyle = colors.ok;
        context.textAlign = "center";
        context.fillText(label, (left + right) / 2, y + 4);
        context.textAlign = "left";
      }
    }
  }

  const glyph = { "barge-in": "▼", playout: "▶", drained: "■", flush: "✕", resume: "▶", dtmf: "#",
    underrun: "!" };
  function marks() {
    context.font = "11px system-ui, sans-serif";
    for (const mark of data.marks) {
      const at = Math.round(x(mark.at_ms)) + .5;
      if (at < -20 || at > width() + 20) continue;
      const alarm = ["barge-in", "flush", "underrun"].includes(mark.kind);
      const top = laneTop[mark.who];
      context.strokeStyle = context.fillStyle = alarm ? colors.alarm : colors.mark;
      context.setLineDash(alarm ? [] : [3, 3]);
      context.beginPath(); context.moveTo(at, top); context.lineTo(at, top + LANE); context.stroke();
      context.setLineDash([]);
      context.fillText(glyph[mark.kind] || "|", at + 2, top + 11);
    }
  }

  function lines() {
    context.font = "12px system-ui, sans-serif";
    for (const line of data.transcript) {
      const left = x(line.start_ms), right = x(line.end_ms);
      if (right < 0 || left > width()) continue;
      const top = textTop[line.who] + 4, room = right - left;
      context.save();
      context.beginPath(); context.rect(left, top - 2, Math.max(room, 3), TEXT - 4); context.clip();
      context.fillStyle = colors[line.who + "-soft"];
      context.fillRect(left, top - 2, room, TEXT - 4);
      context.fillStyle = colors[line.who];
      context.fillRect(left, top - 2, 2, TEXT - 4);
      if (room > 22) wrap(line.text, Math.max(left, 0) + 6, top + 10, right - Math.max(left, 0) - 8);
      context.restore();
    }
  }
  function wrap(text, left, top, room) {
    context.fillStyle = colors.ink;
    let row = "", y = top, rows = 0;
    const words = text.split(" ");
    for (let i = 0; i < words.length; i++) {
      const next = row ? row + " " + words[i] : words[i];
      if (context.measureText(next).width <= room || !row) { row = next; continue; }
      if (++rows === 2) { context.fillText(shorten(row + " " + words[i], room), left, y); return; }
      context.fillText(row, left, y); y += 15; row = words[i];
    }
    context.fillText(shorten(row, room), left, y);
  }
  function shorten(text, room) {
    if (context.measureText(text).width <= room) return text;
    while (text && context.measureText(text + "…").width > room) text = text.slice(0, -1);
    return text + "…";
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1, wide = width();
    if (canvas.width !== Math.round(wide * ratio)) {
      canvas.style.width = wide + "px";
      canvas.width = Math.round(wide * ratio); canvas.height = HEIGHT * ratio;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = colors.panel; context.fillRect(0, 0, wide, HEIGHT);
    ruler(); segments();
    waveform(0, "caller"); waveform(1, "agent");
    marks(); lines(); gaps();
    context.font = "600 12px system-ui, sans-serif";
    for (const who of ["caller", "agent"]) {
      const size = context.measureText(who).width;
      context.fillStyle = colors.panel; context.globalAlpha = .8;
      context.fillRect(2, laneTop[who] + LANE - 22, size + 8, 17); context.globalAlpha = 1;
      context.fillStyle = colors[who];
      context.fillText(who, 6, laneTop[who] + LANE - 9);
    }
    if (drag && Math.abs(drag.to - drag.from) > 3) {
      context.fillStyle = colors.ink; context.globalAlpha = .12;
      context.fillRect(Math.min(drag.from, drag.to), 0, Math.abs(drag.to - drag.from), HEIGHT);
      context.globalAlpha = 1;
    }
    const now = x(audio.currentTime * 1000);
    context.fillStyle = colors.now; context.fillRect(now - .75, 0, 1.5, HEIGHT);
    if (hover !== null) {
      context.fillStyle = colors.soft; context.fillRect(hover, 0, 1, HEIGHT);
    }
  }

  function tell(ms) {
    const parts = [clock(ms, 3)];
    for (const segment of data.segments)
      if (segment.start_ms <= ms && ms < segment.end_ms) parts.push(segment.who + " speaks");
    for (const mark of data.marks)
      if (Math.abs(mark.at_ms - ms) * pxPerMs < 6) parts.push(mark.label);
    for (const turn of data.turns)
      if (turn.start_ms <= ms && ms < turn.start_ms + turn.mouth_to_ear_ms) {
        const since = ms - turn.start_ms;
        const hop = turn.hops.find((h) => h.start_ms <= since && since < h.start_ms + h.length_ms);
        parts.push("turn " + turn.number + ": " + (hop ? hop.name : "unattributed"));
      }
    for (const line of data.transcript)
      if (line.start_ms <= ms && ms < line.end_ms) parts.push(line.who + ": “" + line.text + "”");
    readout.textContent = parts.join("  ·  ");
  }

  canvas.addEventListener("pointermove", (event) => {
    hover = event.offsetX;
    if (drag) drag.to = hover;
    tell(msAt(hover)); draw();
  });
  canvas.addEventListener("pointerleave", () => { hover = null; draw(); });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "touch") {
      drag = { from: event.offsetX, to: event.offsetX };
      canvas.setPointerCapture(event.pointerId);
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    const made = drag; drag = null;
    if (made && Math.abs(made.to - made.from) > 3)
      show(msAt(Math.min(made.from, made.to)), msAt(Math.max(made.from, made.to)));
    else audio.currentTime = clamp(msAt(event.offsetX) / 1000, 0, lengthMs / 1000);
    draw();
  });
  canvas.addEventListener("wheel", (event) => {
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
    if (event.shiftKey) return;
    event.preventDefault();
    setScale(pxPerMs * Math.exp(-event.deltaY * .0025), event.offsetX);
  }, { passive: false });
  scroll.addEventListener("scroll", draw);
  scroll.addEventListener("keydown", (event) => {
    const handlers = {
      "+": () => setScale(pxPerMs * 1.5), "=": () => setScale(pxPerMs * 1.5),
      "-": () => setScale(pxPerMs / 1.5), "0": () => setScale(0),
      ArrowLeft: () => { scroll.scrollLeft -= width() / 5; },
      ArrowRight: () => { scroll.scrollLeft += width() / 5; },
      " ": () => { if (audio.paused) audio.play(); else audio.pause(); },
    };
    if (handlers[event.key] && !event.ctrlKey && !event.metaKey) {
      event.preventDefault(); handlers[event.key]();
    }
  });
  document.getElementById("in").onclick = () => setScale(pxPerMs * 1.6);
  document.getElementById("out").onclick = () => setScale(pxPerMs / 1.6);
  document.getElementById("fit").onclick = () => setScale(0);
  for (const button of document.querySelectorAll("[data-from]"))
    button.onclick = () => {
      const from = +button.dataset.from, to = +button.dataset.to;
      show(Math.max(0, from), to);
      audio.currentTime = Math.max(0, from / 1000);
      scroll.scrollIntoView({ block: "nearest" });
    };

  // While it plays, the cursor moves; a zoomed view follows it.
  function follow() {
    const at = x(audio.currentTime * 1000);
    if (pxPerMs > fitScale() * 1.01 && (at < 0 || at > width() * .9))
      scroll.scrollLeft = audio.currentTime * 1000 * pxPerMs - width() * .1;
    draw();
    if (!audio.paused) requestAnimationFrame(follow);
  }
  audio.addEventListener("play", follow);
  audio.addEventListener("seeked", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColors(); draw(); });
  new ResizeObserver(() => setScale(pxPerMs)).observe(scroll);
  readColors();
  const view = /#(\d+)-(\d+)/.exec(location.hash);
  setScale(0);
  if (view) show(+view[1], +view[2]);
})();
