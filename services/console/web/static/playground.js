// Streams an answer from the public endpoint, as any client would.
"use strict";

const form = document.getElementById("playground");
if (form) {
  const element = (id) => document.getElementById(id);
  const [send, stop, state, answer, usage] = ["p-send", "p-stop", "p-state", "p-answer", "p-usage"].map(element);
  let running = null;

  stop.addEventListener("click", () => running?.abort());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    running = new AbortController();
    send.disabled = true;
    stop.disabled = false;
    answer.textContent = "";
    usage.textContent = "";
    answer.setAttribute("aria-busy", "true");
    state.textContent = form.dataset.streaming;
    try {
      state.textContent = await ask(running.signal);
    } catch (error) {
      state.textContent = error.name === "AbortError" ? form.dataset.stopped : form.dataset.unreachable;
    } finally {
      send.disabled = false;
      stop.disabled = true;
      answer.setAttribute("aria-busy", "false");
    }
  });

  async function ask(signal) {
    const response = await fetch(form.dataset.url, {
      method: "POST",
      signal,
      credentials: "omit",
      headers: { authorization: `Bearer ${element("p-key").value.trim()}`, "content-type": "application/json" },
      body: JSON.stringify({
        model: element("p-model").value,
        stream: true,
        messages: [{ role: "user", content: element("p-prompt").value }],
      }),
    });
    const requestId = response.headers.get("x-request-id") ?? "";
    if (!response.ok) {
      const problem = await response.json().catch(() => null);
      answer.textContent = problem?.error?.message ?? "";
      return `${form.dataset.failed} (${response.status})`;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let pending = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      pending += value;
      const lines = pending.split("\n");
      pending = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data: ")) show(line.slice(6).trim(), requestId);
      }
    }
    return form.dataset.done;
  }

  function show(data, requestId) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) {
      answer.append(`\n${chunk.error.message}`);
      return;
    }
    answer.append(chunk.choices?.[0]?.delta?.content ?? "");
    if (chunk.usage) {
      const { prompt_tokens: input, completion_tokens: output } = chunk.usage;
      usage.textContent = `${input} + ${output} tokens · ${requestId}`;
    }
  }
}
