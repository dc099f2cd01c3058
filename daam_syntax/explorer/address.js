// The reader's choice in the address of the page.

function keepAddress() {
  const address = new URLSearchParams(Object.entries(chosen).filter(([, value]) => value !== null));
  try {
    history.replaceState(null, "", `#${address}`);
  } catch {
    // A frame in a notebook has no address.
  }
}

function readAddress() {
  const address = new URLSearchParams(location.hash.slice(1));
  const number = (name, limit) => {
    const value = address.has(name) ? Number(address.get(name)) : NaN;
    return Number.isInteger(value) && value >= 0 && value < limit ? value : null;
  };
  chosen.image = number("image", contents.images.length) ?? 0;
  if (address.get("scheme") in sentence().schemes) chosen.scheme = address.get("scheme");
  if (RULES.includes(address.get("rule"))) chosen.rule = address.get("rule");
  const value = Number(address.get("value") ?? NaN);
  if (value >= 0 && value < 1) chosen.value = value;
  chosen.ownScale = address.get("ownScale") !== "false";
  chosen.relation = number("relation", currentImage().attention.length) ?? 0;
  chooseFirstEdge();
  const words = sentence().words.length;
  if (number("head", words) !== null) {
    Object.assign(chosen, { head: number("head", words), dependent: number("dependent", words) });
  }
}
