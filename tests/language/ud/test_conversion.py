"""Conversion from ClearNLP to Universal Dependencies, construction by construction.

A case is a native tree ("form/tag/relation>head", words counted from 1), followed by the incoming edges of each word
in the basic tree and in the enhanced graph. The heads of a word with several heads are sorted and separated by "|".
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daam_syntax.language import Edge, Span, Token, parse
from daam_syntax.language.tree import Tree
from daam_syntax.language.ud.clearnlp_rules import LABELS, to_ud
from daam_syntax.language.ud.conversion import RELATIONS, detect_labels, universal_sentence
from daam_syntax.language.ud.enhanced import to_enhanced

SAME = "the enhanced graph is the tree"

# fmt: off
CASES = [
    # noun phrases
    ("a/DT/det>3 red/JJ/amod>3 cat/NN/ROOT",
     "det>3 amod>3 root",
     SAME),
    ("all/PDT/predet>3 the/DT/det>3 dogs/NNS/ROOT",
     "det:predet>3 det>3 root",
     SAME),
    ("no/DT/det>2 cats/NNS/ROOT",
     "det>2 root",
     SAME),
    ("two/CD/nummod>4 or/CC/cc>1 three/CD/conj>1 dogs/NNS/ROOT",
     "nummod>4 cc>3 conj>1 root",
     "nummod>4 cc>3 conj:or>1|nummod>4 root"),
    ("more/JJR/amod>3 than/IN/quantmod>3 ten/CD/nummod>4 dogs/NNS/ROOT",
     "advmod>3 fixed>1 nummod>4 root",
     SAME),
    ("a/DT/det>5 5/CD/nummod>3 feet/NNS/npadvmod>4 tall/JJ/amod>5 man/NN/ROOT",
     "det>5 nummod>3 obl:unmarked>4 amod>5 root",
     SAME),
    ("the/DT/det>2 dog/NN/poss>4 's/POS/case>2 bone/NN/ROOT",
     "det>2 nmod:poss>4 case>2 root",
     SAME),
    ("my/PRP$/poss>3 oil/NN/compound>3 painting/NN/ROOT",
     "nmod:poss>3 compound>3 root",
     SAME),
    ("my/PRP$/poss>2 friend/NN/nsubj>7 ,/,/punct>2 a/DT/det>5 painter/NN/appos>2 ,/,/punct>2 smiles/VBZ/ROOT",
     "nmod:poss>2 nsubj>7 punct>2 det>5 appos>2 punct>2 root",
     SAME),
    # prepositions
    ("a/DT/det>2 cat/NN/ROOT on/IN/prep>2 the/DT/det>5 bed/NN/pobj>3",
     "det>2 root case>5 det>5 nmod>2",
     "det>2 root case>5 det>5 nmod:on>2"),
    ("in/IN/ROOT the/DT/det>3 snow/NN/pobj>1",
     "case>3 det>3 root",
     SAME),
    ("on/IN/ROOT top/NN/pobj>1 of/IN/prep>2 a/DT/det>5 mountain/NN/pobj>3",
     "case>2 root case>5 det>5 nmod>2",
     "case>2 root case>5 det>5 nmod:of>2"),
    ("the/DT/det>2 cat/NN/ROOT next/RB/advmod>2 to/IN/prep>3 the/DT/det>6 dog/NN/pobj>4",
     "det>2 root case>6 fixed>3 det>6 nmod>2",
     "det>2 root case>6 fixed>3 det>6 nmod:next_to>2"),
    ("instead/RB/advmod>2 of/IN/ROOT a/DT/det>4 cat/NN/pobj>2",
     "case>4 fixed>1 det>4 root",
     SAME),
    ("vegetables/NNS/ROOT such/JJ/amod>3 as/IN/prep>1 carrots/NNS/pobj>3",
     "root case>4 fixed>2 nmod>1",
     "root case>4 fixed>2 nmod:such_as>1"),
    ("a/DT/det>2 cat/NN/ROOT out/IN/prep>2 of/IN/prep>3 a/DT/det>6 box/NN/pobj>4",
     "det>2 root case>6 case>6 det>6 nmod>2",
     "det>2 root case>6 case>6 det>6 nmod:out_of>2"),
    ("from/IN/ROOT behind/IN/prep>1 the/DT/det>4 tree/NN/pobj>2",
     "case>4 case>4 det>4 root",
     SAME),
    ("right/RB/advmod>2 behind/IN/ROOT the/DT/det>4 tree/NN/pobj>2",
     "advmod>4 case>4 det>4 root",
     SAME),
    ("a/DT/det>2 cat/NN/ROOT up/RP/prt>2 in/IN/prep>3 the/DT/det>6 tree/NN/pobj>4",
     "det>2 root case>6 case>6 det>6 nmod>2",
     "det>2 root case>6 case>6 det>6 nmod:up_in>2"),
    ("far/RB/ROOT from/IN/prep>1 the/DT/det>4 house/NN/pobj>2",
     "root case>4 det>4 obl>1",
     "root case>4 det>4 obl:from>1"),
    ("a/DT/det>2 cup/NN/ROOT full/JJ/amod>2 of/IN/prep>3 tea/NN/pobj>4",
     "det>2 root amod>2 case>5 obl>3",
     "det>2 root amod>2 case>5 obl:of>3"),
    ("a/DT/det>2 man/NN/ROOT without/IN/prep>2 looking/VBG/pcomp>3 at/IN/prep>4 the/DT/det>7 camera/NN/pobj>5",
     "det>2 root mark>4 acl>2 case>7 det>7 obl>4",
     "det>2 root mark>4 acl:without>2 case>7 det>7 obl:at>4"),
    ("the/DT/det>2 cat/NN/ROOT because/IN/prep>2 of/IN/pcomp>3 the/DT/det>6 dog/NN/pobj>3",
     "det>2 root case>6 fixed>3 det>6 nmod>2",
     "det>2 root case>6 fixed>3 det>6 nmod:because_of>2"),
    ("a/DT/det>2 man/NN/ROOT as/RB/advmod>4 tall/JJ/amod>2 as/IN/prep>4 a/DT/det>7 tree/NN/pobj>5",
     "det>2 root advmod>4 amod>2 case>7 det>7 obl>4",
     "det>2 root advmod>4 amod>2 case>7 det>7 obl:as>4"),
    ("a/DT/det>5 snow/NN/npadvmod>4 -/HYPH/punct>4 covered/VBN/amod>5 house/NN/ROOT",
     "det>5 compound>4 punct>4 amod>5 root",
     SAME),
    ("at/IN/advmod>2 least/RBS/advmod>3 two/CD/nummod>4 dogs/NNS/ROOT",
     "case>2 advmod>3 nummod>4 root",
     SAME),
    # numbers after nouns
    ("room/NN/ROOT 7/CD/nummod>1",
     "root flat>1",
     SAME),
    ("on/IN/prep>8 June/NNP/pobj>1 17/CD/nummod>2 ,/,/punct>2 1950/CD/nummod>2 ,/,/punct>8 he/PRP/nsubj>8 sings/VBZ/ROOT",
     "case>3 nmod:unmarked>3 obl>8 punct>3 nmod:unmarked>3 punct>8 nsubj>8 root",
     "case>3 nmod:unmarked>3 obl:on>8 punct>3 nmod:unmarked>3 punct>8 nsubj>8 root"),
    ("in/IN/ROOT June/NNP/pobj>1 1950/CD/nummod>2",
     "case>2 root nmod:unmarked>2",
     SAME),
    ("at/IN/ROOT 7/CD/nummod>3 pm/NN/pobj>1",
     "case>2 root nmod:unmarked>2",
     SAME),
    # verbs
    ("the/DT/det>2 ball/NN/nsubjpass>4 was/VBD/auxpass>4 thrown/VBN/ROOT by/IN/agent>4 the/DT/det>7 boy/NN/pobj>5",
     "det>2 nsubj:pass>4 aux:pass>4 root case>7 det>7 obl:agent>4",
     SAME),
    ("a/DT/det>2 cat/NN/nsubjpass>5 is/VBZ/aux>5 being/VBG/auxpass>5 chased/VBN/ROOT by/IN/agent>5 a/DT/det>8 dog/NN/pobj>6",
     "det>2 nsubj:pass>5 aux>5 aux:pass>5 root case>8 det>8 obl:agent>5",
     SAME),
    ("the/DT/det>2 girl/NN/nsubj>3 gave/VBD/ROOT him/PRP/dative>3 a/DT/det>6 book/NN/dobj>3",
     "det>2 nsubj>3 root iobj>3 det>6 obj>3",
     SAME),
    ("she/PRP/nsubj>2 gave/VBD/ROOT a/DT/det>4 book/NN/dobj>2 to/IN/dative>2 him/PRP/pobj>5",
     "nsubj>2 root det>4 obj>2 case>6 obl>2",
     "nsubj>2 root det>4 obj>2 case>6 obl:to>2"),
    ("he/PRP/nsubj>2 picked/VBD/ROOT up/RP/prt>2 the/DT/det>5 ball/NN/dobj>2",
     "nsubj>2 root compound:prt>2 det>5 obj>2",
     SAME),
    ("they/PRP/nsubj>2 called/VBD/ROOT him/PRP/dobj>2 king/NN/oprd>2",
     "nsubj>2 root obj>2 xcomp>2",
     "nsubj>2 root obj>2|nsubj:xsubj>4 xcomp>2"),
    ("a/DT/det>2 cat/NN/nsubj>5 does/VBZ/aux>5 not/RB/neg>5 run/VB/ROOT",
     "det>2 nsubj>5 aux>5 advmod>5 root",
     SAME),
    ("please/UH/intj>2 draw/VB/ROOT a/DT/det>4 cat/NN/dobj>2",
     "discourse>2 root det>4 obj>2",
     SAME),
    ("because/IN/mark>3 it/PRP/nsubj>3 rains/VBZ/advcl>7 ,/,/punct>7 the/DT/det>6 dog/NN/nsubj>7 sleeps/VBZ/ROOT",
     "mark>3 nsubj>3 advcl>7 punct>7 det>6 nsubj>7 root",
     "mark>3 nsubj>3 advcl:because>7 punct>7 det>6 nsubj>7 root"),
    ("a/DT/det>2 man/NN/nsubj>3 wants/VBZ/ROOT the/DT/det>5 dog/NN/nsubj>7 to/TO/aux>7 run/VB/ccomp>3",
     "det>2 nsubj>3 root det>5 obj>3 mark>7 xcomp>3",
     "det>2 nsubj>3 root det>5 obj>3|nsubj:xsubj>7 mark>7 xcomp>3"),
    ("a/DT/det>2 man/NN/nsubj>3 promised/VBD/ROOT the/DT/det>5 boy/NN/dobj>3 to/TO/aux>7 sing/VB/xcomp>3",
     "det>2 nsubj>3 root det>5 obj>3 mark>7 xcomp>3",
     "det>2 nsubj>3|nsubj:xsubj>7 root det>5 obj>3 mark>7 xcomp>3"),
    ("he/PRP/nsubj>2 says/VBZ/ROOT that/IN/mark>6 the/DT/det>5 cat/NN/nsubj>6 is/VBZ/ccomp>2 red/JJ/acomp>6",
     "nsubj>2 root mark>7 det>5 nsubj>7 cop>7 ccomp>2",
     SAME),
    ("she/PRP/nsubj>2 tell/VBP/ROOT me/PRP/dobj>2",
     "nsubj>2 root iobj>2",
     SAME),
    ("a/DT/det>2 boy/NN/nsubjpass>4 being/VBG/auxpass>4 chased/VBN/ROOT by/IN/agent>4 a/DT/det>7 dog/NN/pobj>5",
     "det>2 root aux:pass>4 acl>2 case>7 det>7 obl:agent>4",
     SAME),
    ("a/DT/det>2 dog/NN/nsubj>3 chasing/VBG/ROOT cats/NNS/dobj>3 and/CC/cc>3 a/DT/det>7 bird/NN/nsubj>8 sitting/VBG/conj>3 ./,/punct>3",
     "det>2 root acl>2 obj>3 cc>7 det>7 conj>2 acl>7 punct>2",
     "det>2 root acl>2 obj>3 cc>7 det>7 conj:and>2 acl>7 punct>2"),
    ("a/DT/det>2 dog/NN/nsubj>4 is/VBZ/aux>4 chasing/VBG/ROOT cats/NNS/dobj>4",
     "det>2 nsubj>4 aux>4 root obj>4",
     SAME),
    # copulas
    ("the/DT/det>2 problem/NN/nsubj>3 is/VBZ/ROOT that/IN/mark>6 it/PRP/nsubj>6 rains/VBZ/ccomp>3",
     "det>2 nsubj:outer>6 cop>6 mark>6 nsubj>6 root",
     SAME),
    ("it/PRP/nsubj>2 is/VBZ/ROOT nice/JJ/acomp>2 to/TO/aux>5 sing/VB/xcomp>2",
     "expl>3 cop>3 root mark>5 csubj>3",
     SAME),
    ("it/PRP/nsubj>2 \u2019s/VBZ/ROOT red/JJ/acomp>2",
     "nsubj>3 cop>3 root",
     SAME),
    ("the/DT/det>2 cat/NN/nsubj>3 is/VBZ/ROOT red/JJ/acomp>3",
     "det>2 nsubj>4 cop>4 root",
     SAME),
    ("the/DT/det>2 cat/NN/nsubj>3 is/VBZ/ROOT not/RB/neg>3 on/IN/prep>3 the/DT/det>7 bed/NN/pobj>5",
     "det>2 nsubj>7 cop>7 advmod>7 case>7 det>7 root",
     SAME),
    ("a/DT/det>2 cat/NN/nsubj>3 is/VBZ/ROOT here/RB/advmod>3",
     "det>2 nsubj>4 cop>4 root",
     SAME),
    ("there/EX/expl>2 is/VBZ/ROOT a/DT/det>4 cat/NN/attr>2 on/IN/prep>4 the/DT/det>7 bed/NN/pobj>5",
     "expl>2 root det>4 nsubj>2 case>7 det>7 nmod>4",
     "expl>2 root det>4 nsubj>2 case>7 det>7 nmod:on>4"),
    ("the/DT/det>2 queen/NN/nsubj>3 is/VBZ/ROOT a/DT/det>5 cat/NN/attr>3 in/IN/prep>5 the/DT/det>8 house/NN/pobj>6",
     "det>2 nsubj>5 cop>5 det>5 root case>8 det>8 nmod>5",
     "det>2 nsubj>5 cop>5 det>5 root case>8 det>8 nmod:in>5"),
    ("what/WP/dobj>3 he/PRP/nsubj>3 wears/VBZ/csubj>4 is/VBZ/ROOT red/JJ/acomp>4",
     "obj>3 nsubj>3 csubj>5 cop>5 root",
     SAME),
    # relative clauses
    ("the/DT/det>2 man/NN/ROOT who/WP/nsubj>4 wears/VBZ/relcl>2 a/DT/det>6 hat/NN/dobj>4",
     "det>2 root nsubj>4 acl:relcl>2 det>6 obj>4",
     "det>2 root|nsubj>4 ref>2 acl:relcl>2 det>6 obj>4"),
    ("a/DT/det>2 man/NN/ROOT whose/WP$/poss>4 hat/NN/nsubj>5 is/VBZ/relcl>2 red/JJ/acomp>5",
     "det>2 root nmod:poss>4 nsubj>6 cop>6 acl:relcl>2",
     "det>2 root|nmod:poss>4 ref>2 nsubj>6 cop>6 acl:relcl>2"),
    ("a/DT/det>2 hat/NN/ROOT that/WDT/dobj>6 the/DT/det>5 man/NN/nsubj>6 wears/VBZ/relcl>2",
     "det>2 root obj>6 det>5 nsubj>6 acl:relcl>2",
     "det>2 root|obj>6 ref>2 det>5 nsubj>6 acl:relcl>2"),
    ("the/DT/det>2 house/NN/ROOT in/IN/prep>6 which/WDT/pobj>3 he/PRP/nsubj>6 lives/VBZ/relcl>2",
     "det>2 root case>4 obl>6 nsubj>6 acl:relcl>2",
     "det>2 root|obl:in>6 case>4 ref>2 nsubj>6 acl:relcl>2"),
    ("the/DT/det>2 house/NN/ROOT where/WRB/advmod>5 he/PRP/nsubj>5 lives/VBZ/relcl>2",
     "det>2 root advmod>5 nsubj>5 acl:relcl>2",
     "det>2 root|obl>5 ref>2 nsubj>5 acl:relcl>2"),
    ("the/DT/det>2 boy/NN/ROOT she/PRP/nsubj>4 talked/VBD/relcl>2 to/IN/prep>4",
     "det>2 root nsubj>4 acl:relcl>2 obl>4",
     "det>2 root|obl:to>4 nsubj>4 acl:relcl>2 obl>4"),
    ("a/DT/det>2 dog/NN/ROOT that/WDT/nsubjpass>5 was/VBD/auxpass>5 painted/VBN/relcl>2 by/IN/agent>5 a/DT/det>8 child/NN/pobj>6",
     "det>2 root nsubj:pass>5 aux:pass>5 acl:relcl>2 case>8 det>8 obl:agent>5",
     "det>2 root|nsubj:pass>5 ref>2 aux:pass>5 acl:relcl>2 case>8 det>8 obl:agent>5"),
    ("a/DT/det>2 cat/NN/ROOT that/WDT/nsubj>4 sleeps/VBZ/relcl>2 or/CC/cc>4 plays/VBZ/conj>4",
     "det>2 root nsubj>4 acl:relcl>2 cc>6 conj>4",
     "det>2 root|nsubj>4|nsubj>6 ref>2 acl:relcl>2 cc>6 acl:relcl>2|conj:or>4"),
    ("the/DT/det>2 thing/NN/ROOT we/PRP/nsubj>4 like/VBP/relcl>2",
     "det>2 root nsubj>4 acl:relcl>2",
     "det>2 root|obj>4 nsubj>4 acl:relcl>2"),
    ("the/DT/det>2 thing/NN/ROOT we/PRP/nsubj>4 want/VBP/relcl>2 to/TO/aux>6 draw/VB/xcomp>4",
     "det>2 root nsubj>4 acl:relcl>2 mark>6 xcomp>4",
     "det>2 root|obj>6 nsubj>4|nsubj:xsubj>6 acl:relcl>2 mark>6 xcomp>4"),
    ("the/DT/det>2 day/NN/ROOT we/PRP/nsubj>4 met/VBD/relcl>2 him/PRP/dobj>4",
     "det>2 root nsubj>4 acl:relcl>2 obj>4",
     "det>2 root|obl>4 nsubj>4 acl:relcl>2 obj>4"),
    ("the/DT/det>2 chance/NN/ROOT we/PRP/nsubj>4 met/VBD/relcl>2 him/PRP/dobj>4",
     "det>2 root nsubj>4 acl:relcl>2 obj>4",
     SAME),
    ("a/DT/det>2 cat/NN/nsubj>3 is/VBZ/ROOT able/JJ/acomp>3 to/TO/aux>6 sing/VB/xcomp>4",
     "det>2 nsubj>4 cop>4 root mark>6 xcomp>4",
     "det>2 nsubj>4|nsubj:xsubj>6 cop>4 root mark>6 xcomp>4"),
    ("he/PRP/nsubj>2 sings/VBZ/ROOT when/WRB/advmod>5 it/PRP/nsubj>5 rains/VBZ/advcl>2",
     "nsubj>2 root advmod>5 nsubj>5 advcl>2",
     "nsubj>2 root advmod>5 nsubj>5 advcl:when>2"),
    ("animals/NNS/ROOT including/VBG/prep>1 cats/NNS/pobj>2",
     "root case>3 nmod>1",
     "root case>3 nmod:including>1"),
    # coordination
    ("cats/NNS/nsubj>4 and/CC/cc>1 dogs/NNS/conj>1 run/VBP/ROOT",
     "nsubj>4 cc>3 conj>1 root",
     "nsubj>4 cc>3 conj:and>1|nsubj>4 root"),
    ("both/CC/preconj>3 a/DT/det>3 cat/NN/ROOT and/CC/cc>3 a/DT/det>6 dog/NN/conj>3",
     "cc:preconj>3 det>3 root cc>6 det>6 conj>3",
     "cc:preconj>3 det>3 root cc>6 det>6 conj:and>3"),
    ("a/DT/det>2 dog/NN/ROOT as/RB/advmod>5 well/RB/advmod>5 as/IN/cc>2 a/DT/det>7 cat/NN/conj>2",
     "det>2 root cc>7 fixed>3 fixed>3 det>7 conj>2",
     "det>2 root cc>7 fixed>3 fixed>3 det>7 conj:as_well_as>2"),
    ("a/DT/det>5 red/JJ/amod>5 and/CC/cc>2 blue/JJ/conj>2 car/NN/ROOT",
     "det>5 amod>5 cc>4 conj>2 root",
     "det>5 amod>5 cc>4 conj:and>2|amod>5 root"),
    ("a/DT/det>2 cat/NN/ROOT in/IN/prep>2 the/DT/det>5 box/NN/pobj>3 and/CC/cc>3 on/IN/conj>3 the/DT/det>9 bed/NN/pobj>7",
     "det>2 root case>5 det>5 nmod>2 cc>9 case>9 det>9 conj>5",
     "det>2 root case>5 det>5 nmod:in>2 cc>9 case>9 det>9 nmod:on>2|conj:and>5"),
    ("a/DT/det>2 cat/NN/ROOT sleeping/VBG/acl>2 and/CC/cc>3 eating/VBG/conj>3",
     "det>2 root acl>2 cc>5 conj>3",
     "det>2 root acl>2 cc>5 acl>2|conj:and>3"),
    ("a/DT/det>2 bird/NN/nsubjpass>4 is/VBZ/auxpass>4 chased/VBN/ROOT and/CC/cc>4 eaten/VBN/conj>4 by/IN/agent>6 a/DT/det>9 cat/NN/pobj>7",
     "det>2 nsubj:pass>4 aux:pass>4 root cc>6 conj>4 case>9 det>9 obl:agent>6",
     "det>2 nsubj:pass>4|nsubj:pass>6 aux:pass>4 root cc>6 conj:and>4 case>9 det>9 obl:agent>6"),
    ("a/DT/det>2 cat/NN/nsubj>3 sits/VBZ/ROOT in/IN/prep>3 a/DT/det>6 box/NN/pobj>4 and/CC/cc>3 a/DT/det>9 dog/NN/nsubj>10 sits/VBZ/conj>3 on/IN/prep>10 it/PRP/pobj>11",
     "det>2 nsubj>3 root case>6 det>6 obl>3 cc>10 det>9 nsubj>10 conj>3 case>12 obl>10",
     "det>2 nsubj>3 root case>6 det>6 obl:in>3 cc>10 det>9 nsubj>10 conj:and>3 case>12 obl:on>10"),
    ("a/DT/det>2 knight/NN/ROOT on/IN/prep>2 a/DT/det>5 horse/NN/pobj>3 ,/,/punct>5 a/DT/det>8 castle/NN/conj>5 ,/,/punct>8 and/CC/cc>8 a/DT/det>12 dragon/NN/conj>8",
     "det>2 root case>5 det>5 nmod>2 punct>8 det>8 conj>5 punct>12 cc>12 det>12 conj>5",
     "det>2 root case>5 det>5 nmod:on>2 punct>8 det>8 nmod:on>2|conj:and>5 punct>12 cc>12 det>12 nmod:on>2|conj:and>5"),
    ("portrait/NN/ROOT of/IN/prep>1 a/DT/det>4 cat/NN/pobj>2 ,/,/punct>1 trending/VBG/acl>1 on/IN/prep>6 artstation/NN/pobj>7",
     "root case>4 det>4 nmod>1 punct>1 acl>1 case>8 obl>6",
     "root case>4 det>4 nmod:of>1 punct>1 acl>1 case>8 obl:on>6"),
    ("a/DT/det>2 cat/NN/ROOT ,/,/punct>2 a/DT/det>5 dog/NN/appos>2 and/CC/cc>5 an/DT/det>8 owl/NN/conj>5",
     "det>2 root punct>5 det>5 conj>2 cc>8 det>8 conj>2",
     "det>2 root punct>5 det>5 conj:and>2 cc>8 det>8 conj:and>2"),
    ("cats/NNS/ROOT ,/,/punct>1 dogs/NNS/appos>1 ,/,/punct>3 owls/NNS/conj>3 and/CC/cc>5 mice/NNS/conj>5",
     "root punct>3 conj>1 punct>5 conj>1 cc>7 conj>1",
     "root punct>3 conj:and>1 punct>5 conj:and>1 cc>7 conj:and>1"),
    ("cats/NNS/ROOT ,/,/punct>1 dogs/NNS/appos>1 ,/,/punct>1 owls/NNS/appos>1 and/CC/cc>5 mice/NNS/conj>5",
     "root punct>3 conj>1 punct>5 conj>1 cc>7 conj>1",
     "root punct>3 conj:and>1 punct>5 conj:and>1 cc>7 conj:and>1"),
    ("my/PRP$/poss>2 friend/NN/ROOT ,/,/punct>2 a/DT/det>5 singer/NN/appos>2 and/CC/cc>5 poet/NN/conj>5",
     "nmod:poss>2 root punct>2 det>5 appos>2 cc>7 conj>5",
     "nmod:poss>2 root punct>2 det>5 appos>2 cc>7 appos>2|conj:and>5"),
    ("two/CD/nummod>2 people/NNS/ROOT ,/,/punct>2 a/DT/det>5 man/NN/appos>2 and/CC/cc>5 a/DT/det>8 girl/NN/conj>5 ,/,/punct>2 here/RB/advmod>2",
     "nummod>2 root punct>2 det>5 appos>2 cc>8 det>8 conj>5 punct>2 advmod>2",
     "nummod>2 root punct>2 det>5 appos>2 cc>8 det>8 appos>2|conj:and>5 punct>2 advmod>2"),
    ("a/DT/det>2 man/NN/nsubj>10 ,/,/punct>2 a/DT/det>5 singer/NN/appos>2 and/CC/cc>5 a/DT/det>8 poet/NN/conj>5 ,/,/punct>2 smiles/VBZ/ROOT",
     "det>2 nsubj>10 punct>2 det>5 appos>2 cc>8 det>8 conj>5 punct>2 root",
     "det>2 nsubj>10 punct>2 det>5 appos>2 cc>8 det>8 appos>2|conj:and>5 punct>2 root"),
    ("a/DT/det>2 photo/NN/ROOT of/IN/prep>2 a/DT/det>5 cat/NN/pobj>3 and/CC/cc>2 a/DT/det>8 dog/NN/conj>2",
     "det>2 root case>5 det>5 nmod>2 cc>8 det>8 conj>5",
     "det>2 root case>5 det>5 nmod:of>2 cc>8 det>8 nmod:of>2|conj:and>5"),
    ("a/DT/det>2 photo/NN/ROOT of/IN/prep>2 cats/NNS/pobj>3 and/CC/cc>2 a/DT/det>7 sketch/NN/conj>2",
     "det>2 root case>4 nmod>2 cc>7 det>7 conj>2",
     "det>2 root case>4 nmod:of>2 cc>7 det>7 conj:and>2"),
    # by hand: constructions that the small parser rarely gets right
    ("a/DT/det>2 table/NN/ROOT on/IN/prep>2 and/CC/cc>3 under/IN/conj>3 a/DT/det>7 cloth/NN/pobj>5",
     "det>2 root case>7 cc>5 conj>3 det>7 nmod>2",
     "det>2 root case>7 cc>5 conj:and>3|case>7 det>7 nmod:on>2|nmod:under>2"),
    ("in/IN/ROOT and/CC/cc>1 under/IN/conj>1 the/DT/det>5 box/NN/pobj>1",
     "case>5 cc>3 conj>1 det>5 root",
     "case>5 cc>3 conj:and>1|case>5 det>5 root"),
    ("he/PRP/nsubj>2 paints/VBZ/ROOT the/DT/det>4 house/NN/nsubj>5 red/JJ/ccomp>2",
     "nsubj>2 root det>4 obj>2 xcomp>2",
     "nsubj>2 root det>4 obj>2|nsubj:xsubj>5 xcomp>2"),
    ("she/PRP/nsubj>2 wants/VBZ/ROOT the/DT/det>4 house/NN/nsubjpass>7 to/TO/aux>7 be/VB/auxpass>7 painted/VBN/ccomp>2",
     "nsubj>2 root det>4 obj>2 mark>7 aux:pass>7 xcomp>2",
     "nsubj>2 root det>4 obj>2|nsubj:pass:xsubj>7 mark>7 aux:pass>7 xcomp>2"),
    ("a/DT/det>2 chair/NN/ROOT to/TO/aux>4 sit/VB/relcl>2 on/IN/prep>4",
     "det>2 root mark>4 acl>2 obl>4",
     "det>2 root mark>4 acl:to>2 obl>4"),
    ("a/DT/det>2 cat/NN/ROOT inside/IN/prep>2",
     "det>2 root advmod>2",
     SAME),
    ("seen/VBN/ROOT from/IN/prep>1 above/RB/pcomp>2",
     "root case>3 obl>1",
     "root case>3 obl:from>1"),
    ("he/PRP/nsubj>2 told/VBD/ROOT me/PRP/dative>2",
     "nsubj>2 root obj>2",
     SAME),
    ("he/PRP/nsubj>2 looks/VBZ/ROOT happy/JJ/acomp>2",
     "nsubj>2 root xcomp>2",
     "nsubj>2|nsubj:xsubj>3 root xcomp>2"),
    ("that/IN/mark>3 he/PRP/nsubj>3 sings/VBZ/csubjpass>5 is/VBZ/auxpass>5 known/VBN/ROOT",
     "mark>3 nsubj>3 csubj:pass>5 aux:pass>5 root",
     SAME),
    ("the/DT/det>2 cat/NN/nsubj>3 chases/VBZ/ROOT and/CC/cc>3 bites/VBZ/conj>3 the/DT/det>7 dog/NN/dobj>3",
     "det>2 nsubj>3 root cc>5 conj>3 det>7 obj>3",
     "det>2 nsubj>3|nsubj>5 root cc>5 conj:and>3 det>7 obj>3|obj>5"),
    ("old/JJ/amod>2 men/NNS/ROOT and/CC/cc>2 women/NNS/conj>2 in/IN/prep>2 snow/NN/pobj>5",
     "amod>2 root cc>4 conj>2 case>6 nmod>2",
     "amod>2 root cc>4 conj:and>2 case>6 nmod:in>2|nmod:in>4"),
    ("a/DT/det>2 cat/NN/ROOT ,/,/punct>2 a/DT/det>5 dog/NN/conj>2 and/CC/cc>5 an/DT/det>8 owl/NN/conj>5",
     "det>2 root punct>5 det>5 conj>2 cc>8 det>8 conj>2",
     "det>2 root punct>5 det>5 conj:and>2 cc>8 det>8 conj:and>2"),
    ("a/DT/det>2 castle/NN/ROOT ,/,/punct>2 4k/NN/ROOT ,/,/punct>4 very/RB/advmod>7 sharp/JJ/ROOT",
     "det>2 root punct>2 root punct>4 advmod>7 root",
     SAME),
    ("a/DT/det>2 day/NN/ROOT last/JJ/amod>4 week/NN/npadvmod>2",
     "det>2 root amod>4 nmod:unmarked>2",
     SAME),
    ("8k/NN/nmod>2 render/NN/ROOT sharp/JJ/nmod>2 (/-LRB-/meta>2 hm/XX/dep>2",
     "compound>2 root amod>2 dep>2 dep>2",
     SAME),
    ("a/DT/det>2 man/NN/nsubj>4 who/WP/ROOT tries/VBZ/relcl>3 to/TO/aux>6 sing/VB/xcomp>4",
     "det>2 nsubj>4 root acl:relcl>3 mark>6 xcomp>4",
     "det>2 nsubj>4|nsubj:xsubj>6 root acl:relcl>3 mark>6 xcomp>4"),
    ("a/DT/det>2 man/NN/ROOT who/WP/nsubj>4 tries/VBZ/relcl>2 to/TO/aux>6 sing/VB/xcomp>4 and/CC/cc>6 dance/VB/conj>6",
     "det>2 root nsubj>4 acl:relcl>2 mark>6 xcomp>4 cc>8 conj>6",
     "det>2 root|nsubj>4|nsubj:xsubj>6|nsubj:xsubj>8 ref>2 acl:relcl>2 mark>6 xcomp>4 cc>8 xcomp>4|conj:and>6"),
]
# fmt: on

POS = {
    "NN": "NOUN", "NNS": "NOUN", "NNP": "PROPN", "JJ": "ADJ", "JJR": "ADJ", "RB": "ADV", "WRB": "SCONJ",
    "VB": "VERB", "VBD": "VERB", "VBG": "VERB", "VBN": "VERB", "VBP": "VERB", "VBZ": "VERB", "IN": "ADP",
    "RP": "ADP", "DT": "DET", "PDT": "DET", "CD": "NUM", "PRP": "PRON", "PRP$": "PRON", "WP": "PRON",
    "WP$": "PRON", "WDT": "PRON", "EX": "PRON", "CC": "CCONJ", "TO": "PART", "POS": "PART", "UH": "INTJ",
    ",": "PUNCT", "-LRB-": "PUNCT", "HYPH": "PUNCT", "RBS": "ADV", "XX": "X",
}  # fmt: skip
BE = {"is", "was", "be", "being", "\u2019s"}


def read_native(case):
    """Return the tokens and edges of a case."""
    tokens, edges, start = [], [], 0
    for i, (form, tag, incoming) in enumerate(word.rsplit("/", 2) for word in case.split(" ")):
        pos = "AUX" if form in BE else POS[tag]
        lemma = (
            "be"
            if form in BE - {"\u2019s"}
            else form.removesuffix("d")
            if form == "promised"
            else form
        )
        tokens.append(Token(i, form, lemma, pos, tag, start, start + len(form)))
        start += len(form) + 1
        if ">" in incoming:
            relation, head = incoming.split(">")
            edges.append(Edge(int(head) - 1, i, relation))
    return tokens, edges


def write(n, edges, roots):
    """Write the incoming edges of each word in the notation of the cases."""
    incoming = [[(0, "root")] if i in roots else [] for i in range(n)]
    for edge in edges:
        incoming[edge.dependent].append((edge.head + 1, f"{edge.relation}>{edge.head + 1}"))
    return " ".join("|".join(label for _, label in sorted(heads)) for heads in incoming)


@pytest.mark.parametrize(("native", "ud", "enhanced"), CASES)
def test_constructions(native, ud, enhanced):
    tokens, edges = read_native(native)
    basic = to_ud(tokens, edges)
    heads = {edge.dependent for edge in basic}
    assert write(len(tokens), basic, set(range(len(tokens))) - heads) == ud
    found, roots = to_enhanced(tokens, basic)
    assert write(len(tokens), found, roots) == (ud if enhanced is SAME else enhanced)


# Words of a name, from 0; its native tree, and the basic one.
NAMES = [
    ((1, 3), "President/NNP/compound>3 Ann/NNP/compound>3 Lee/NNP/nsubj>4 sings/VBZ/ROOT",
     "nmod:desc>2 nsubj>4 flat>2 root"),
    ((0, 2), "President/NNP/compound>2 Lee/NNP/nsubj>3 sings/VBZ/ROOT",  # a title inside the name
     "nmod:desc>2 nsubj>3 root"),
    ((0, 3), "Ann/NNP/compound>2 Lee/NNP/poss>4 's/POS/case>2 dog/NN/ROOT",
     "nmod:poss>4 flat>1 case>1 root"),
    ((0, 2), "Ann/NNP/compound>2 Lee/NNP/ROOT ,/,/punct>2 a/DT/det>5 singer/NN/appos>2 and/CC/cc>5 a/DT/det>8 poet/NN/conj>5",
     "root flat>1 punct>1 det>5 appos>1 cc>8 det>8 conj>5"),
    ((0, 2), "Ann/NNP/nsubj>3 Lee/NNP/npadvmod>3 sings/VBZ/ROOT",  # not one constituent
     "nsubj>3 obl:unmarked>3 root"),
    ((0, 2), "bird/NN/compound>2 nerd/NN/ROOT",  # common nouns
     "compound>2 root"),
    ((0, 1), "Ann/NNP/nsubj>2 sings/VBZ/ROOT",
     "nsubj>2 root"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "native", "ud"), NAMES)
def test_names_of_people_are_flat(name, native, ud):
    tokens, edges = read_native(native)
    names = [Span(*name, name[1] - 1)]
    basic = to_ud(tokens, edges, names)
    roots = set(range(len(tokens))) - {edge.dependent for edge in basic}
    assert write(len(tokens), basic, roots) == ud


def test_a_noun_phrase_that_ends_in_a_name_has_its_first_word_as_root():
    tokens, edges = read_native("Ann/NNP/compound>2 Lee/NNP/ROOT")
    span = Span(0, 2, 1)
    sentence = universal_sentence(
        "Ann Lee", tokens, edges, "clearnlp", noun_phrases=[span], names=[span]
    )
    assert sentence.noun_phrases == (Span(0, 2, 0),)
    assert universal_sentence("Ann Lee", tokens, edges, "clearnlp", [span]).noun_phrases == (span,)


@st.composite
def native_trees(draw):
    """Generate trees with arbitrary labels over words that the rules react to."""
    words = ["be/AUX/VBZ", "that/PRON/WDT", "to/PART/TO", "in/ADP/IN", "next/ADV/RB", "cat/NOUN/NN"]
    words += [
        "Ann/PROPN/NNP",
        "photo/NOUN/NN",
        "of/ADP/IN",
        "7/NUM/CD",
        "June/PROPN/NNP",
        "it/PRON/PRP",
    ]
    words += [
        "chasing/VERB/VBG",
        "being/AUX/VBG",
        "chased/VERB/VBN",
        "tell/VERB/VB",
        "-/PUNCT/HYPH",
    ]
    words += [
        "runs/VERB/VBZ",
        "red/ADJ/JJ",
        "and/CCONJ/CC",
        ",/PUNCT/,",
        " /SPACE/_SP",
        "as/ADP/IN",
        "well/ADV/RB",
    ]
    n = draw(st.integers(1, 9))
    tokens, start = [], 0
    for i in range(n):
        form, pos, tag = draw(st.sampled_from(words)).split("/")
        tokens.append(Token(i, form, form.lower(), pos, tag, start, start + len(form)))
        start += len(form) + 1
    order = draw(st.permutations(range(n)))
    labels = st.sampled_from(sorted(LABELS - {"ROOT", "root"}))
    edges = [
        Edge(order[draw(st.integers(0, k - 1))], order[k], draw(labels))
        for k in range(1, n)
        if draw(st.integers(0, 5))  # otherwise another root
    ]
    return tokens, edges


@settings(deadline=None, max_examples=300)
@given(native_trees())
def test_any_tree_becomes_a_tree_of_universal_relations_over_the_same_words(tree):
    tokens, edges = tree
    basic = to_ud(tokens, edges, [Span(0, len(tokens), 0)])
    assert {edge.relation.split(":")[0] for edge in basic} <= RELATIONS
    words = {token.index for token in tokens if token.text.strip()}
    assert set(Tree(tokens, basic)) == words  # `Tree` checks that it is a tree
    text = " ".join(token.text for token in tokens)
    sentence = universal_sentence(text, tokens, edges, "clearnlp")
    n_roots = len(words) - len(basic)
    assert len(sentence.roots("ud")) == len(sentence.roots("enhanced")) == n_roots
    for word in words:  # every word can still be reached from a root
        assert any(
            word in sentence.subtree(root, "enhanced") for root in sentence.roots("enhanced")
        )


def test_two_heads_and_cycles_are_refused():
    tokens, _ = read_native("a/DT/det>2 cat/NN/ROOT")
    with pytest.raises(ValueError, match=r"'a' \(0\) has two heads"):
        to_ud(tokens, [Edge(1, 0, "det"), Edge(1, 0, "amod")])
    with pytest.raises(ValueError, match="its own ancestor"):
        to_ud(tokens, [Edge(1, 0, "det"), Edge(0, 1, "amod")])


def test_white_space_is_not_part_of_a_tree():
    sentence = parse("a red\n  cat sits")
    blank = [t.index for t in sentence.tokens if not t.text.strip()]
    assert blank
    touched = {
        i
        for scheme in ("ud", "enhanced")
        for e in sentence.edges[scheme]
        for i in (e.head, e.dependent)
    }
    assert not touched & set(blank)
    assert not set(sentence.roots("native") + sentence.roots("ud")) & set(blank)


@pytest.mark.parametrize(
    ("labels", "label_set"),
    [
        (LABELS, "clearnlp"),
        ({"nsubj", "obj", "obl:arg", "ROOT"}, "ud"),
        ({"nsubj", "dobj", "ROOT"}, "clearnlp"),
        ({"sb", "oa", "nk", "ROOT"}, None),  # German: TIGER
        ({"nsubj", "dobj", "nmod:prep", "ROOT"}, None),  # Chinese: Stanford Dependencies
        (set(), "ud"),
    ],
)
def test_label_sets_are_inferred_from_their_labels(labels, label_set):
    assert detect_labels(labels) == label_set


@pytest.mark.parametrize(("head", "label_set"), [(0, "clearnlp"), (2, "ud")])
def test_the_position_of_the_conjunction_decides_for_labels_of_both_label_sets(head, label_set):
    edges = [Edge(head, 1, "cc"), Edge(0, 2, "conj")]  # cats and dogs
    assert detect_labels({"cc", "conj"}, edges) == label_set


def test_a_universal_tree_passes_through_and_another_annotation_stays_native():
    tokens, edges = read_native("cats/NNS/ROOT and/CC/cc>3 dogs/NNS/conj>1")
    ud = universal_sentence("cats and dogs", tokens, edges, "ud")
    assert ud.edges["ud"] == ud.edges["native"] == tuple(edges)
    assert {e.relation for e in ud.edges["enhanced"]} == {"cc", "conj:and"}
    other = universal_sentence("cats and dogs", tokens, edges, None)
    assert list(other.edges) == ["native"]


def test_the_small_parser_and_the_rules_together():
    sentence = parse("a photo of a cat that is next to a red car")
    found = {
        (e.relation, sentence[e.head].text, sentence[e.dependent].text)
        for e in sentence.edges["enhanced"]
    }
    assert {("nmod:of", "photo", "cat"), ("nsubj", "car", "cat"), ("cop", "car", "is")} <= found
    assert sentence.edges["ud"] != sentence.edges["native"]
