"""Small programs of a user, and edits after which they compute something else."""

# Each: the text of a file, and pairs of what is edited in it.
CHANGES = {
    "constant": (
        """
A = 0.1
def mine(z): return A * z
""",
        [
            ("0.1", "0.2"),
            ("0.1", "-0.1"),
            ("0.1", "'0.1'"),
        ],
    ),
    "helper": (
        """
def inner(z): return 2 * z
def mine(z): return inner(z)
""",
        [
            ("2 * z", "3 * z"),
            ("2 * z", "z * 2"),
        ],
    ),
    "helper's constant": (
        """
A = 1
def inner(z): return A * z
def mine(z): return inner(z)
""",
        [
            ("A = 1", "A = 1.0"),
        ],
    ),
    "two steps away": (
        """
A = 1
def far(z): return A * z
def inner(z): return far(z)
def mine(z): return inner(z)
""",
        [
            ("A = 1", "A = 2"),
        ],
    ),
    "recursion": (
        """
A = 1
def even(n): return n == 0 or odd(n - 1)
def odd(n): return n != A and even(n - 1)
def mine(z): return z * even(4)
""",
        [
            ("A = 1", "A = 0"),
            ("n - 1)\ndef mine", "n - 2)\ndef mine"),
        ],
    ),
    "signed zero": (
        """
A = 0.0
def mine(z): return A * z
""",
        [
            ("0.0", "-0.0"),
            ("0.0", "float('nan')"),
            ("0.0", "0"),
        ],
    ),
    "complex": (
        """
A = 1 + 2j
def mine(z): return A * z
""",
        [
            ("2j", "3j"),
        ],
    ),
    "text": (
        """
A = 'tanh'
def mine(z): return getattr(jnp, A)(z)
""",
        [
            ("tanh", "sin"),
        ],
    ),
    "tuple": (
        """
A = (1, (2, 3))
def mine(z): return A[1][0] * z
""",
        [
            ("2", "4"),
            ("(2, 3)", "[2, 3]"),
        ],
    ),
    "list": (
        """
A = [1, 2]
def mine(z): return A[0] * z
""",
        [
            ("1", "3"),
        ],
    ),
    "dictionary": (
        """
A = {'a': 1}
def mine(z): return A['a'] * z
""",
        [
            ("1", "3"),
            ("'a': 1", "'a': 1, 'b': 2"),
        ],
    ),
    "set": (
        """
A = {1, 2}
def mine(z): return len(A) * z
""",
        [
            ("{1, 2}", "{1, 3}"),
        ],
    ),
    "nested helper": (
        """
A = 1
def mine(z):
    def inner(y): return [A * x for x in y]
    return inner(z)[0]
""",
        [
            ("A = 1", "A = 2"),
        ],
    ),
    "lambda in a constant": (
        """
A = 1
F = {'a': lambda z: A * z}
def mine(z): return F['a'](z)
""",
        [
            ("A = 1", "A = 2"),
            ("A *", "2 + A *"),
        ],
    ),
    "two lambdas in a line": (
        """
F = (lambda z: z, lambda z: 2 * z)
def mine(z): return F[1](z)
""",
        [
            ("2 * z", "3 * z"),
        ],
    ),
    "default": (
        """
A = 0.1
def mine(z, a=A): return a * z
""",
        [
            ("0.1", "0.2"),
        ],
    ),
    "keyword default": (
        """
A = 0.1
def mine(z, *, a=A): return a * z
""",
        [
            ("0.1", "0.2"),
        ],
    ),
    "numpy array": (
        """
A = np.arange(4.0)
def mine(z): return A.sum() * z
""",
        [
            ("4.0", "5.0"),
            ("4.0", "4"),
        ],
    ),
    "numpy scalar": (
        """
A = np.float32(0.1)
def mine(z): return A * z
""",
        [
            ("0.1", "0.2"),
            ("float32", "float64"),
        ],
    ),
    "jax array": (
        """
A = jnp.ones(3)
def mine(z): return A.sum() * z
""",
        [
            ("ones", "zeros"),
            ("ones(3)", "ones((3, 1))"),
        ],
    ),
    "random key": (
        """
A = jax.random.key(0)
def mine(z): return z + jax.random.normal(A)
""",
        [
            ("key(0)", "key(1)"),
        ],
    ),
    "dtype": (
        """
A = jnp.float32
def mine(z): return z.astype(A)
""",
        [
            ("float32", "float16"),
        ],
    ),
    "partial": (
        """
def two(a, z): return a * z
P = functools.partial(two, 0.1)
def mine(z): return P(z)
""",
        [
            ("0.1", "0.2"),
            ("a * z", "a + z"),
            ("two, 0.1", "two, a=0.1"),
        ],
    ),
    "library's function": (
        """
from jax.nn import relu as g
def mine(z): return g(z)
""",
        [
            ("relu", "gelu"),
            ("jax.nn import relu", "jax.numpy import sin"),
        ],
    ),
    "equal names in a library": (
        """
from jax.scipy.stats.norm import pdf
def mine(z): return pdf(z)
""",
        [
            ("stats.norm", "stats.cauchy"),
        ],
    ),
    "other module of a library": (
        """
import jax.numpy as m
def mine(z): return m.abs(z)
""",
        [
            ("import jax.numpy as m", "import numpy as m"),
        ],
    ),
    "transformed": (
        """
def f(x, y): return x * y
G = jax.vmap(f, in_axes=(0, None))
def mine(z): return G(z, 2.0)
""",
        [
            ("in_axes=(0, None)", "in_axes=(1, None)"),
            ("x * y", "x + y"),
        ],
    ),
    "gradient": (
        """
def f(x): return x ** 2
G = jax.grad(f)
def mine(z): return G(z)
""",
        [
            ("x ** 2", "x ** 3"),
            ("grad(f)", "grad(f, argnums=0, has_aux=True)"),
        ],
    ),
    "jitted": (
        """
A = 1
@jax.jit
def mine(z): return A * z
""",
        [
            ("A = 1", "A = 2"),
            ("A * z", "A + z"),
        ],
    ),
    "cached": (
        """
A = 1
@functools.lru_cache
def f(n): return A * n
def mine(z): return f(2) * z
""",
        [
            ("A = 1", "A = 2"),
        ],
    ),
    "custom derivative": (
        """
A = 1
@jax.custom_jvp
def mine(z): return z
@mine.defjvp
def rule(p, t): return p[0], A * t[0]
""",
        [
            ("A = 1", "A = 2"),
            ("A * t[0]", "t[0]"),
        ],
    ),
    "custom vjp": (
        """
A = 1
@jax.custom_vjp
def mine(z): return z
def fwd(z): return z, None
def bwd(_, g): return (A * g,)
mine.defvjp(fwd, bwd)
""",
        [
            ("A = 1", "A = 2"),
            ("A * g", "g"),
        ],
    ),
    "decorator": (
        """
def scaled(f):
    @functools.wraps(f)
    def wrapper(z): return 2 * f(z)
    return wrapper
@scaled
def mine(z): return z
""",
        [
            ("2 * f", "3 * f"),
            ("return z", "return -z"),
            ("@scaled\n", ""),
        ],
    ),
    "decorator with arguments": (
        """
def scaled(a):
    def decorate(f):
        @functools.wraps(f)
        def wrapper(z): return a * f(z)
        return wrapper
    return decorate
@scaled(0.1)
def mine(z): return z
""",
        [
            ("0.1", "0.2"),
        ],
    ),
    "class": (
        """
A = 1
class Base:
    def g(self, z): return A * z
class Sub(Base):
    C = 2
    def h(self, z): return self.C * self.g(z)
def mine(z): return Sub().h(z)
""",
        [
            ("A = 1", "A = 2"),
            ("C = 2", "C = 3"),
            ("A * z", "A + z"),
            ("self.C *", "-self.C *"),
            ("Sub(Base)", "Sub(Base, metaclass=type('M', (type,), {}))"),
        ],
    ),
    "class attribute only": (
        """
class C:
    a = 0.1
def mine(z): return C.a * z
""",
        [
            ("0.1", "0.2"),
        ],
    ),
    "class attribute set later": (
        """
class C:
    a = 0.1
C.a = 0.2
def mine(z): return C.a * z
""",
        [
            ("0.2", "0.3"),
        ],
    ),
    "method replaced": (
        """
class C:
    def f(self): return 1
def g(self): return 2
C.f = g
def mine(z): return C().f() * z
""",
        [
            ("return 2", "return 3"),
        ],
    ),
    "static method and property": (
        """
A = 1
class C:
    @staticmethod
    def f(): return A
    @property
    def p(self): return A + 1
def mine(z): return C.f() * z
""",
        [
            ("A = 1", "A = 2"),
            ("A + 1", "A + 2"),
        ],
    ),
    "dataclass": (
        """
@dataclasses.dataclass(frozen=True)
class D:
    a: float = 0.1
    b: list = dataclasses.field(default_factory=lambda: [1])
def mine(z): return D().a * z
""",
        [
            ("0.1", "0.2"),
            ("[1]", "[2]"),
            ("a: float", "c: float"),
            ("frozen=True", "frozen=True, order=True"),
        ],
    ),
    "instance of a dataclass": (
        """
@dataclasses.dataclass
class D:
    a: float
X = D(0.1)
def mine(z): return X.a * z
""",
        [
            ("D(0.1)", "D(0.2)"),
        ],
    ),
    "plain instance": (
        """
class D:
    def __init__(self, a): self.a = a
X = D(0.1)
def mine(z): return X.a * z
""",
        [
            ("D(0.1)", "D(0.2)"),
            ("self.a = a", "self.a = 2 * a"),
            ("def mine", "X.a = 7\ndef mine"),
        ],
    ),
    "slots": (
        """
class D:
    __slots__ = ('a',)
    def __init__(self, a): self.a = a
X = D(0.1)
def mine(z): return X.a * z
""",
        [
            ("D(0.1)", "D(0.2)"),
        ],
    ),
    "enum": (
        """
class E(enum.Enum):
    A = 1
    B = 2
def mine(z): return E.A.value * z
""",
        [
            ("A = 1", "A = 3"),
            ("B = 2", "B = 4"),
        ],
    ),
    "named tuple": (
        """
N = namedtuple('N', 'a b')
X = N(1, 2)
def mine(z): return X.a * z
""",
        [
            ("N(1, 2)", "N(2, 1)"),
            ("'a b'", "'b a'"),
        ],
    ),
    "partial of a class": (
        """
class C:
    def __init__(self, a): self.a = a
P = functools.partial(C, 2)
def mine(z): return P().a * z
""",
        [
            ("C, 2", "C, 3"),
        ],
    ),
    "bound method": (
        """
class C:
    def __init__(self, a): self.a = a
    def f(self, z): return self.a * z
F = C(2).f
def mine(z): return F(z)
""",
        [
            ("C(2)", "C(3)"),
        ],
    ),
    "callable instance": (
        """
class C:
    def __init__(self, a): self.a = a
    def __call__(self, z): return self.a * z
F = C(2)
def mine(z): return F(z)
""",
        [
            ("C(2)", "C(3)"),
            ("self.a * z", "self.a + z"),
        ],
    ),
    "flax module": (
        """
A = 1
def inner(z): return A * z
class Net(nn.Module):
    width: int = 3
    @nn.compact
    def __call__(self, x, train=False):
        return inner(nn.Dense(self.width)(x))
def mine(z): return Net()
""",
        [
            ("A = 1", "A = 2"),
            ("width: int = 3", "width: int = 4"),
            ("@nn.compact\n    ", ""),
            ("nn.Dense(", "nn.Dense(use_bias=False, features="),
        ],
    ),
    "instance of a library's module": (
        """
D = nn.Dense(3)
def mine(z): return D
""",
        [
            ("Dense(3)", "Dense(4)"),
            ("Dense(3)", "Dense(3, use_bias=False)"),
        ],
    ),
    "library's function over values": (
        """
I = nn.initializers.normal(0.1)
def mine(key, shape): return I(key, shape)
""",
        [
            ("0.1", "0.2"),
            ("normal(0.1)", "uniform(0.1)"),
        ],
    ),
    "optimizer": (
        """
import optax
T = optax.sgd(0.1)
def mine(z): return T
""",
        [
            ("0.1", "0.2"),
            ("0.1", "0.1, momentum=0.9"),
        ],
    ),
    "conditional": (
        """
if True:
    A = 1
else:
    A = 2
def mine(z): return A * z
""",
        [
            ("if True", "if False"),
        ],
    ),
    "global of a loop": (
        """
for A in range(3): pass
def mine(z): return A * z
""",
        [
            ("range(3)", "range(4)"),
        ],
    ),
    "attribute of a function": (
        """
def f(z): return f.a * z
f.a = 1
def mine(z): return f(z)
""",
        [
            ("f.a = 1", "f.a = 2"),
        ],
    ),
    "cache by its definition": (
        """
C = {}
def mine(z):
    if 'a' not in C: C['a'] = 2
    return C['a'] * z
""",
        [
            ("C = {}", "C = {'a': 3}"),
            ("= 2", "= 4"),
        ],
    ),
    "generator by its definition": (
        """
S = 1
R = np.random.default_rng(S)
def mine(): return R.normal()
""",
        [
            ("S = 1", "S = 2"),
            ("default_rng(S)", "default_rng([S])"),
        ],
    ),
    "lock": (
        """
L = threading.Lock()
A = 1
def mine(z):
    with L: return A * z
""",
        [
            ("A = 1", "A = 2"),
        ],
    ),
    "pattern": (
        """
import re
R = re.compile('a')
def mine(z): return len(R.findall('aab')) * z
""",
        [
            ("compile('a')", "compile('b')"),
        ],
    ),
    "frame": (
        """
import pandas as pd
T = pd.DataFrame({'a': [1, 2]})
def mine(): return T
""",
        [
            ("[1, 2]", "[1, 3]"),
            ("'a'", "'b'"),
        ],
    ),
    "namespace": (
        """
import types
N = types.SimpleNamespace(a=1)
def mine(z): return N.a * z
""",
        [
            ("a=1", "a=2"),
        ],
    ),
    "global statement": (
        """
A = 1
def mine(z):
    global A
    A = A + 1
    return z
""",
        [
            ("A = 1", "A = 2"),
            ("A + 1", "A + 2"),
        ],
    ),
    "set by the sweep": (
        """
A = 1
def mine(z): return A * z
def set_to(a):
    global A
    A = a
set_to(3)
""",
        [
            ("set_to(3)", "set_to(4)"),
        ],
    ),
    "walrus and comprehension": (
        """
A = 1
def mine(z): return [y := A * z for _ in range(2)][0]
""",
        [
            ("A = 1", "A = 2"),
        ],
    ),
    "match": (
        """
A = 1
def mine(z):
    match z:
        case None: return A
        case _: return z
""",
        [
            ("A = 1", "A = 2"),
            ("case None", "case False"),
        ],
    ),
    "f-string": (
        """
A = 'si'
def mine(z): return getattr(jnp, f'{A}n')(z)
""",
        [
            ("'si'", "'ta'"),
            ("{A}n", "{A}nh"),
        ],
    ),
    "star arguments": (
        """
A = (1, 2)
def f(a, b): return a * b
def mine(z): return f(*A) * z
""",
        [
            ("(1, 2)", "(1, 3)"),
        ],
    ),
    "exec": (
        """
space = {'A': 1}
exec('def inner(z): return A * z', space)
inner = space['inner']
def mine(z): return inner(z)
""",
        [
            ("'A': 1", "'A': 2"),
            ("A * z", "A + z"),
        ],
    ),
    "jitted partial": (
        """
def f(k, z): return k * z
G = jax.jit(functools.partial(f, 2))
def mine(z): return G(z)
""",
        [("f, 2", "f, 3"), ("k * z", "k + z")],
    ),
    "functions of one text in two namespaces": (
        """
def make(k):
    space = {"k": k}
    exec("def f(z): return k * z", space)
    return space["f"]
F, G = make(1), make(2)
def mine(z): return F(G(z)) - F(z)
""",
        [("make(1), make(2)", "make(2), make(1)")],
    ),
    "descriptor": (
        """
K = 1
class Descriptor:
    def __get__(self, owner, kind): return K
class C:
    x = Descriptor()
def mine(z): return C().x
""",
        [("K = 1", "K = 2"), ("return K", "return -K")],
    ),
    "metaclass": (
        """
K = 1
class Meta(type):
    def __call__(cls): return K
class C(metaclass=Meta): pass
def mine(z): return C()
""",
        [("K = 1", "K = 2")],
    ),
    "subclass hook": (
        """
K = 1
class Base:
    def __init_subclass__(cls): cls.k = K
class C(Base): pass
def mine(z): return C.k
""",
        [("K = 1", "K = 2")],
    ),
    "dispatched": (
        """
@functools.singledispatch
def f(x): return 1
@f.register
def _(x: int): return 2
def mine(z): return f(z)
""",
        [("return 2", "return 3"), ("x: int", "x: float")],
    ),
    "structured array": (
        """
A = np.array([(1, 2.0)], dtype=[("a", int), ("b", float)])
def mine(z): return A["a"] * z
""",
        [("2.0", "3.0"), ('("a", int)', '("a", np.int32)')],
    ),
    "weakly typed array": (
        """
A = jnp.asarray(0.5)
def mine(z): return A * z
""",
        [("jnp.asarray(0.5)", "jnp.asarray(np.float32(0.5))")],
    ),
    "huge number": (
        """
A = 10**5000
def mine(z): return A
""",
        [("5000", "5001")],
    ),
    "builtin that is shadowed": (
        """
def mine(z): return max(z, 0)
""",
        [("def mine", "def max(a, b): return a\ndef mine")],
    ),
}
