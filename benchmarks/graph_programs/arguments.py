"""Arguments and globals that change from call to call."""

import math
import random

from graph_programs import program


@program("4x8")
def seeds_and_python_random(x):
    random.seed(3)
    if random.random() < 2.0:
        x = x * 2
    return x


@program("4x8 =0.5", "4x8 =0.25", "4x8 =0.125")
def float_argument(x, p):
    return x * p + math.sin(p)


@program("4x8 =1", "4x8 =2", "4x8 =3", "4x8 =4")
def int_argument(x, n):
    return x * n + n**2, x.roll(n, 0), n // 2


@program("4x8 ='a'", "4x8 ='b'", "4x8 =None")
def string_or_none_argument(x, key):
    return x if key is None else {"a": x * 2, "b": x - 1}[key]


@program("4x8 =[1,2]", "4x8 =[1,2,3]", "4x8 =[4,5]")
def list_argument(x, ks):
    for k in ks:
        x = x * k
    return x


@program("4x8 ={'a':1}", "4x8 ={'a':2}", "4x8 ={'b':2}")
def dict_argument(x, options):
    return x * options.get("a", 10) + len(options)


@program("4x8")
def global_table(x):
    return sum(w * getattr(x, f)() for f, w in TABLE.items())


TABLE = {"sum": 1.0, "mean": 2.0}


COUNTER = 0


@program("4x8", "4x8", "4x8")
def global_counter(x):
    global COUNTER
    COUNTER += 1
    return x + 1, COUNTER
