const TEXT = [38, 36, 34, 32, 30, 28, 26, 24], CODE = [34, 31, 28, 26, 24, 22, 20];
const LARGE = 44, SPARSE = 0.55;  // the type of a slide whose words fill so little of its height
const ROOM = [1.25, 1.1, 1, 0.9, 0.8];  // of a picture's own size, the most that text leaves to it
const inside = e => e.scrollHeight <= e.clientHeight + 1 && e.scrollWidth <= e.clientWidth + 1;
const roomy = pre => {  // scrollWidth does not tell whether text reaches into the padding
  const texts = document.createTreeWalker(pre, NodeFilter.SHOW_TEXT), range = document.createRange();
  const limit = pre.getBoundingClientRect().right - 12;
  while (texts.nextNode()) {
    range.selectNodeContents(texts.currentNode);
    if (range.getBoundingClientRect().right > limit) return false;
  }
  return true;
};
const shown = slide => [...slide.querySelectorAll("pre")].filter(e => !e.closest("aside"));
const low = e => e.matches("aside") ? 0 : e.offsetTop + e.offsetHeight;
const fits = slide => [slide, ...shown(slide)].every(inside)
  && shown(slide).every(roomy)
  && Math.max(...[...slide.children].map(low)) <= slide.clientHeight - 34;
const scale = slide => Math.min(...[...slide.querySelectorAll("img")].map(img =>
  Math.min(img.offsetWidth / img.naturalWidth, img.offsetHeight / img.naturalHeight)));

const sized = (slide, texts, codes) => texts.some(text => codes.some(code => {
  slide.style.fontSize = text + "px";
  slide.style.setProperty("--code", code + "px");
  return fits(slide);
}));

function shrink(slide) {  // the text, until all of it fits
  const pictures = [...slide.querySelectorAll("img")], beside = slide.matches(".beside");
  const least = height => pictures.forEach(img => img.style.minHeight = height(img) + "px");
  if (!pictures.length) {
    const used = () => [...slide.children].reduce((sum, e) => sum + (e.matches("aside") ? 0
      : e.offsetHeight + 14), 0);
    if (sized(slide, [LARGE], CODE) && used() < SPARSE * slide.clientHeight) return true;
    return sized(slide, TEXT, CODE);
  }
  // the text is at most twice as large as the words in a picture, which gets what room there is
  const texts = TEXT.filter(size => size <= 30);
  const done = !beside && ROOM.some(room => {
    least(img => img.naturalHeight * Math.min(room, 1200 / pictures.length / img.naturalWidth));
    return sized(slide, texts.filter(size => size >= 26), CODE.filter(size => size <= 24));
  });
  if (!done) {
    least(img => Math.min(img.naturalHeight, 330));
    sized(slide, texts, CODE);
  }
  for (const img of pictures) img.style.minHeight = "";
}
function fit(slide) {
  shrink(slide);
  const before = scale(slide), content = [...slide.children].slice(1);
  const texts = content.filter(e => !e.matches(".figure, aside") && !e.querySelector(".figure"));
  if (slide.querySelectorAll("img").length != 1 || !texts.length || before > 0.8) return;
  if (slide.querySelector("table")) return;  // it needs the whole width
  const title = slide.children[0], figure = slide.querySelector(".figure");
  figure.style.top = title.offsetTop + title.offsetHeight + 14 + "px";
  slide.classList.add("beside");  // a picture that is too small under the text goes beside it
  shrink(slide);
  if (!fits(slide) || scale(slide) <= before) {
    slide.classList.remove("beside");
    shrink(slide);
  }
}
async function start() {
  if (window.MathJax) await MathJax.startup.promise;
  await Promise.all([...document.images].map(img => img.decode()));
  document.querySelector(".slides").style.cssText = "display:block; width:1280px";
  for (const s of document.querySelectorAll(".slides > section")) {
    s.style.display = "flex";
    fit(s);
    s.style.display = "";
  }
  document.querySelector(".slides").style.cssText = "";
  const asked = new URLSearchParams(location.search), page = document.documentElement.classList;
  page.toggle("handout", asked.has("handout"));
  if (asked.has("print-pdf")) page.add("print-pdf");
  else await Reveal.initialize({
    width: 1280, height: 720, margin: 0, center: false, display: "flex", hash: true,
    slideNumber: "c/t", transition: "none", plugins: [RevealNotes],
  });
  document.body.dataset.ready = "yes";
}
start();
