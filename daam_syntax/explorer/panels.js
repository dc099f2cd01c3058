// The panels of the page: the image, maps over it, and two masks over each other.

const SHARED = "#111111";
// Opacity and gray as in Python's figures/shared/colors.py and figures/maps/overlays.py.
const STRONGEST = 0.9; // opacity where attention is highest: the image still shows through
const FADING = 0.85; // exponent of the opacity
const PAPER = 216; // gray of a light region under an overlay, for the color bar

function rgb(hex) {
  return [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16));
}

/** Return the pixels of an image: in color, and in light gray for panels where color means attention only. */
async function loadPixels(source, [height, width]) {
  const image = new Image();
  image.src = source;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  const colors = context.getImageData(0, 0, width, height);
  const gray = new Uint8ClampedArray(width * height);
  for (let i = 0; i < gray.length; i++) {
    const [r, g, b] = colors.data.subarray(4 * i, 4 * i + 3);
    gray[i] = 102 + 0.6 * (0.299 * r + 0.587 * g + 0.114 * b);
  }
  return { colors, gray };
}

/** Blend colors into the gray image: `paint(i)` is the palette index of pixel i, and `opacity(i)` the color's share. */
function tinted(pixels, palette, paint, opacity) {
  const { width, height } = pixels.colors;
  const result = new ImageData(width, height);
  for (let i = 0; i < pixels.gray.length; i++) {
    const share = opacity(i);
    const color = palette[paint(i)];
    for (let channel = 0; channel < 3; channel++) {
      result.data[4 * i + channel] = pixels.gray[i] * (1 - share) + color[channel] * share;
    }
    result.data[4 * i + 3] = 255;
  }
  return result;
}

/** Return the opacity of a map where it has a share of the top of its scale. */
const opacity = (share) => STRONGEST * share ** FADING;

/** Return a word's map over the image, on a color scale from 0 to `top`. */
function mapImage(pixels, map, top, colors) {
  const share = (i) => Math.min(1, map[i] / (top || 1));
  const paint = (i) => Math.round(share(i) * (colors.length - 1));
  return tinted(pixels, colors, paint, (i) => opacity(share(i)));
}

/** Return two masks over the image, each in its color, and their overlap in a third. */
function masksImage(pixels, head, dependent, headColor, dependentColor) {
  const opacities = [0, 0.62, 0.62, 0.72]; // of neither, the head's, the dependent's, both
  const palette = [[0, 0, 0], headColor, dependentColor, rgb(SHARED)];
  const paint = (i) => head[i] + 2 * dependent[i];
  return tinted(pixels, palette, paint, (i) => opacities[paint(i)]);
}

/** Draw an image on a canvas large enough for thin outlines of masks; `outlines` are pairs of mask and color. */
function show(canvas, image, outlines = []) {
  const scale = Math.max(1, Math.round(640 / Math.max(image.width, image.height)));
  const source = document.createElement("canvas");
  [source.width, source.height] = [image.width, image.height];
  source.getContext("2d").putImageData(image, 0, 0);
  [canvas.width, canvas.height] = [image.width * scale, image.height * scale];
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  for (const [mask, color] of outlines) {
    const path = new Path2D();
    traceOutline(path, mask, image.width, image.height, scale);
    for (const [style, width] of [["#ffffff", 5], [color, 2.5]]) {
      context.strokeStyle = style;
      context.lineWidth = (width * canvas.width) / 640;
      context.stroke(path);
    }
  }
}

/** Add the outline of a mask to a path: every edge between a pixel inside and one outside. */
function traceOutline(path, mask, width, height, scale) {
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const inside = mask[y * width + x];
      if (x + 1 < width && inside !== mask[y * width + x + 1]) {
        path.moveTo((x + 1) * scale, y * scale);
        path.lineTo((x + 1) * scale, (y + 1) * scale);
      }
      if (y + 1 < height && inside !== mask[(y + 1) * width + x]) {
        path.moveTo(x * scale, (y + 1) * scale);
        path.lineTo((x + 1) * scale, (y + 1) * scale);
      }
    }
  }
}
