from .caption_words import known_words as known_words
from .grammar import ObjectSpec as ObjectSpec
from .grammar import SceneSpec as SceneSpec
from .grammar import write_caption as write_caption
from .model import learned_weights as learned_weights
from .scenes import Scene as Scene
from .scenes import draw_scene as draw_scene
from .scenes import scene as scene
