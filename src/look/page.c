/* The page: one file that stands alone. Weights are 16-bit fractions of 1 in base64; the page's own script draws
 * a small picture of each head and, of the one that is chosen, a large one with its tokens. */
#include <math.h>
#include <string.h>

#include "look/look.h"
#include "token/base64.h"

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>";
static const char style[] =
    "</title><style>body{font:16px/1.5 sans-serif;margin:2em;color:#222}"
    "table{border-collapse:collapse}th{font-weight:normal;font-size:13px;padding:2px 6px;text-align:right}"
    "td{padding:2px}td canvas{width:72px;height:72px;border:1px solid #ccc;cursor:pointer;image-rendering:pixelated}"
    "td canvas.chosen{outline:2px solid #d55e00}#grid{overflow:auto;max-height:60vh}#view{overflow:auto}"
    "#told{min-height:1.5em;font-family:monospace;white-space:pre}</style></head><body>\n<h1>";
static const char frame[] = "</h1>\n<p>Rows are queries, columns the keys that they look at. A click enlarges a head.</p>"
                            "\n<div id=\"grid\"></div>\n<h2 id=\"name\"></h2>\n<div id=\"told\"></div>"
                            "\n<div id=\"view\"><canvas id=\"large\"></canvas></div>\n<script>\nconst heads = [\n";
static const char script[] =
    "\nfunction weights(h) {\n"
    "  if (!h.w) {\n"
    "    const s = atob(h.data); h.w = new Float32Array(s.length / 2);\n"
    "    for (let i = 0; i < h.w.length; i++) h.w[i] = (s.charCodeAt(2 * i) + 256 * s.charCodeAt(2 * i + 1)) / 65535;\n"
    "  }\n"
    "  return h.w;\n"
    "}\n"
    "function colour(w) {\n"
    "  const t = Math.sqrt(w);\n"
    "  return [255 - 255 * t, 255 - 141 * t, 255 - 77 * t];\n"
    "}\n"
    "function picture(canvas, h) {\n"
    "  const w = weights(h), c = canvas.getContext('2d');\n"
    "  canvas.width = h.keys; canvas.height = h.queries;\n"
    "  const p = c.createImageData(h.keys, h.queries);\n"
    "  for (let i = 0; i < w.length; i++) p.data.set([...colour(w[i]), 255], 4 * i);\n"
    "  c.putImageData(p, 0, 0);\n"
    "}\n"
    "function names(h) {\n"
    "  const all = h.queries > tokens.length ? [...source, ...tokens] : tokens;\n"
    "  const rows = h.source ? source : all, columns = h.source || h.cross ? source : all;\n"
    "  return [i => rows[i] ?? String(i), j => columns[j] ?? String(j)];\n"
    "}\n"
    "const large = document.getElementById('large'), told = document.getElementById('told');\n"
    "let chosen = null, cell = 16, left = 0, top_ = 0;\n"
    "function choose(h, small) {\n"
    "  document.querySelectorAll('.chosen').forEach(e => e.classList.remove('chosen'));\n"
    "  small.classList.add('chosen');\n"
    "  chosen = h; told.textContent = '';\n"
    "  document.getElementById('name').textContent = h.row + ', head ' + h.head;\n"
    "  const [row, column] = names(h), w = weights(h), most = Math.max(h.queries, h.keys);\n"
    "  cell = Math.max(2, Math.min(24, Math.floor(1400 / most)));\n"
    "  const c = large.getContext('2d'), font = Math.min(13, cell) + 'px monospace', text = cell >= 8;\n"
    "  c.font = font; left = top_ = 4;\n"
    "  for (let i = 0; text && i < h.queries; i++) left = Math.max(left, 10 + c.measureText(row(i)).width);\n"
    "  for (let j = 0; text && j < h.keys; j++) top_ = Math.max(top_, 10 + c.measureText(column(j)).width);\n"
    "  large.width = left + cell * h.keys + 4; large.height = top_ + cell * h.queries + 4;\n"
    "  c.font = font; c.textBaseline = 'middle'; c.fillStyle = '#222';\n"
    "  c.textAlign = 'right';\n"
    "  for (let i = 0; text && i < h.queries; i++) c.fillText(row(i), left - 5, top_ + cell * (i + 0.5));\n"
    "  c.textAlign = 'left';\n"
    "  for (let j = 0; text && j < h.keys; j++) {\n"
    "    c.save(); c.translate(left + cell * (j + 0.5), top_ - 5); c.rotate(-Math.PI / 2);\n"
    "    c.fillText(column(j), 0, 0); c.restore();\n"
    "  }\n"
    "  for (let i = 0; i < h.queries; i++)\n"
    "    for (let j = 0; j < h.keys; j++) {\n"
    "      c.fillStyle = 'rgb(' + colour(w[i * h.keys + j]).map(Math.round) + ')';\n"
    "      c.fillRect(left + cell * j, top_ + cell * i, cell, cell);\n"
    "    }\n"
    "  c.strokeStyle = '#999'; c.strokeRect(left - 0.5, top_ - 0.5, cell * h.keys + 1, cell * h.queries + 1);\n"
    "}\n"
    "large.onmousemove = e => {\n"
    "  const i = Math.floor((e.offsetY - top_) / cell), j = Math.floor((e.offsetX - left) / cell);\n"
    "  if (!chosen || i < 0 || j < 0 || i >= chosen.queries || j >= chosen.keys) { told.textContent = ''; return; }\n"
    "  const [row, column] = names(chosen);\n"
    "  told.textContent = i + ' \"' + row(i) + '\" looks at ' + j + ' \"' + column(j) + '\": ' +\n"
    "    weights(chosen)[i * chosen.keys + j].toFixed(4);\n"
    "};\n"
    "const table = document.createElement('table');\n"
    "let line = null, last = null, first = null;\n"
    "for (const h of heads) {\n"
    "  if (h.row !== last) {\n"
    "    line = table.insertRow(); last = h.row;\n"
    "    const th = document.createElement('th'); th.textContent = h.row; line.append(th);\n"
    "  }\n"
    "  const canvas = document.createElement('canvas');\n"
    "  picture(canvas, h); canvas.title = h.row + ', head ' + h.head; canvas.onclick = () => choose(h, canvas);\n"
    "  line.insertCell().append(canvas);\n"
    "  first = first || [h, canvas];\n"
    "}\n"
    "document.getElementById('grid').append(table);\n"
    "choose(...first);\n"
    "</script></body></html>\n";

spar_status spar__look_markup(spar__buffer *page, const char *text) {
    spar__buffer safe = spar__buffer_make(1 << 20);
    spar_status status = spar__look_text(&safe, text);
    for (size_t i = 0; !status && i < safe.length; i++) {
        char c = safe.bytes[i];
        const char *name = c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : NULL;
        status = name ? spar__buffer_add(page, name, strlen(name)) : spar__buffer_add(page, &c, 1);
    }
    spar__buffer_free(&safe);
    return status;
}

/* Text as a string of the script: nothing in it may end the script or the string. */
static spar_status add_string(spar__buffer *page, const char *text) {
    spar__buffer safe = spar__buffer_make(1 << 20);
    spar_status status = spar__look_text(&safe, text);
    if (!status) status = spar__buffer_print(page, "\"");
    for (size_t i = 0; !status && i < safe.length; i++) {
        char c = safe.bytes[i];
        bool plain = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
        status = plain ? spar__buffer_add(page, &c, 1) : spar__buffer_print(page, "\\x%02x", (unsigned)c);
    }
    if (!status) status = spar__buffer_print(page, "\"");
    spar__buffer_free(&safe);
    return status;
}

static spar_status add_strings(spar__buffer *page, const char *name, const char *const *texts, size_t n) {
    SPAR_TRY(spar__buffer_print(page, "\nconst %s = [", name));
    for (size_t i = 0; i < n; i++) {
        if (i) SPAR_TRY(spar__buffer_print(page, ","));
        SPAR_TRY(add_string(page, texts[i]));
    }
    return spar__buffer_print(page, "];");
}

static spar_status add_head(spar__buffer *page, const spar_attention_head *h, bool of_source) {
    size_t n = h->n_queries * h->n_keys;
    unsigned char *bytes = spar__array(n, 2);
    if (!bytes) return SPAR_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        long w = lrint(65535.0 * fmin(1, fmax(0, (double)h->weights[i])));
        bytes[2 * i] = (unsigned char)(w & 255);
        bytes[2 * i + 1] = (unsigned char)(w >> 8);
    }
    char *text = spar__base64_encode(bytes, 2 * n), name[64];
    spar__free(bytes);
    if (!text) return SPAR_ERR_MEMORY;
    spar__look_row_name(h, name);
    spar_status status =
        spar__buffer_print(page, "{row:\"%s\",head:%lld,cross:%d,source:%d,queries:%zu,keys:%zu,data:\"", name,
                           (long long)h->head, h->cross, of_source, h->n_queries, h->n_keys);
    if (!status) status = spar__buffer_add(page, text, strlen(text));
    if (!status) status = spar__buffer_print(page, "\"},\n");
    spar__free(text);
    return status;
}

spar_status spar__look_page(const spar_attention *a, const spar_attention_labels *labels, spar__buffer *page) {
    const char *title = labels->title && *labels->title ? labels->title : "Attention";
    bool two = false;
    for (size_t i = 0; i < a->n_heads; i++) two = two || !strcmp(a->heads[i].stack, "decoder");
    SPAR_TRY(spar__buffer_add(page, head, sizeof head - 1));
    SPAR_TRY(spar__look_markup(page, title));
    SPAR_TRY(spar__buffer_add(page, style, sizeof style - 1));
    SPAR_TRY(spar__look_markup(page, title));
    SPAR_TRY(spar__buffer_add(page, frame, sizeof frame - 1));
    for (size_t i = 0; i < a->n_heads; i++)
        SPAR_TRY(add_head(page, &a->heads[i], two && !strcmp(a->heads[i].stack, "encoder")));
    SPAR_TRY(spar__buffer_print(page, "];"));
    SPAR_TRY(add_strings(page, "tokens", labels->tokens, labels->n_tokens));
    SPAR_TRY(add_strings(page, "source", labels->source, labels->n_source));
    return spar__buffer_add(page, script, sizeof script - 1);
}
