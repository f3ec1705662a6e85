// The order of what a search finds: of pages that say a word, those that explain come before those that list.
var Scorer = {
  score: ([page, , , , score]) => score + (/^(tutorials|guides)\//.test(page) ? 3 : page.startsWith("design") ? -3 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 4,
  term: 5,
  partialTerm: 2,
};
