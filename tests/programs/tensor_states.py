"""What programs change of tensors themselves: `requires_grad`, history, `data`, `grad`."""

from __future__ import annotations

from captured import ramp

import tracegraph as tg
from programs import program
from tracegraph import autograd, nn
from tracegraph.nn import functional as F


def data_and_leaf():
    """A tensor, and one that requires grad."""
    return ramp(), ramp(requires_grad=True)


def classifier():
    """A model, a batch and its classes."""
    tg.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), ramp(2, 3) / 6, tg.tensor([0, 1])


# ------------------------------------------------------------------------------------------ data


@program(data_and_leaf)
def data_is_without_history(x, w):
    y = w.data * x
    return y, w.data, (w * 2).data, w.data.is_leaf, w.data is w.data


@program(data_and_leaf)
def writes_through_data(x, w):
    w.data.mul_(2)
    w.data[0].zero_()
    w.data[:, 1] = 5.0
    x.data.copy_(w.data)
    return w, (w * x).sum()


@program(data_and_leaf)
def data_set(x, w):
    w.data = x * 2
    return w.requires_grad, w.is_leaf


@program(data_and_leaf)
def data_set_and_a_result_of_it(x, w):
    w.data = x * 2
    return (w * 3).sum()


@program(data_and_leaf)
def data_written_before_gradients_read_it(x, w):
    y = w * x * w
    w.data.mul_(3)
    return y


@program(data_and_leaf)
def moving_average(x, w):
    with tg.no_grad():
        x.data.mul_(0.9).add_(w.data, alpha=0.1)
    return x


@program(classifier)
def weight_clipping(model, x, classes):
    loss = model(x).mean()
    loss.backward()
    for p in model.parameters():
        p.data.add_(p.grad, alpha=-0.1)
        p.data.clamp_(-0.1, 0.1)
        p.grad = None
    return loss.detach(), list(model.parameters())


# ------------------------------------------------------------------------------------------ leaves made in the trace


@program(classifier)
def fast_gradient_sign(model, x, classes):
    attacked = x.detach().clone().requires_grad_()
    (g,) = autograd.grad(F.cross_entropy(model(attacked), classes), attacked)
    return (attacked + 0.1 * g.sign()).detach()


@program(classifier)
def fast_gradient_sign_of_the_argument(model, x, classes):
    x.requires_grad = True
    loss = F.cross_entropy(model(x), classes)
    model.zero_grad()
    loss.backward()
    return x.detach() + 0.1 * x.grad.data.sign(), x.requires_grad


@program(classifier)
def projected_gradient_descent(model, x, classes):
    delta = tg.zeros_like(x, requires_grad=True)
    for _ in range(3):
        F.cross_entropy(model(x + delta), classes).backward()
        delta.data = (delta + 0.1 * delta.grad.detach().sign()).clamp(-0.2, 0.2)
        delta.grad.zero_()
    return delta.detach()


@program(classifier)
def projected_gradient_descent_in_place(model, x, classes):
    delta = tg.zeros_like(x).requires_grad_()
    for _ in range(3):
        F.cross_entropy(model(x + delta), classes).backward()
        delta.data.add_(0.1 * delta.grad.sign())
        delta.data.clamp_(-0.2, 0.2)
        delta.grad = None
    return delta.detach()


@program(data_and_leaf)
def fast_weights(x, w):
    fast = w.detach().clone().requires_grad_()
    for _ in range(2):
        (g,) = autograd.grad(((fast * x) ** 2).sum(), fast)
        fast = (fast - 0.01 * g).detach().requires_grad_()
    return fast.detach()


@program(data_and_leaf)
def a_leaf_as_result(x, w):
    leaf = (x * 2).requires_grad_()
    (leaf * 3).sum().backward()
    return leaf, leaf.grad, leaf.is_leaf


@program(data_and_leaf)
def a_result_whose_history_begins_in_the_trace(x, w):
    leaf = (x * 2).requires_grad_()
    return leaf, leaf * 3


@program()
def leaf_of_what_is_recorded_before_it(x):
    before = x * 2
    x = x.detach()
    early = x * 5
    x.requires_grad_()
    late = x * 3
    (g,) = autograd.grad((early + late).sum(), x)
    return before, g


# ------------------------------------------------------------------------------------------ flags


@program(data_and_leaf)
def flags_set_to_what_they_are(x, w):
    w.requires_grad_()
    x.requires_grad_(False)
    w.requires_grad = True
    return w * x


@program(classifier)
def frozen_layers(model, x, classes):
    for p in model[0].parameters():
        p.requires_grad_(False)
    loss = F.cross_entropy(model(x), classes)
    loss.backward()
    return loss.detach(), [p.grad is None for p in model.parameters()]


@program(classifier)
def frozen_for_a_while(model, x, classes):
    model.requires_grad_(False)
    x = x.detach().requires_grad_()
    F.cross_entropy(model(x), classes).backward()
    model.requires_grad_(True)
    return x.grad, [(p.grad is None, p.requires_grad) for p in model.parameters()]


@program(data_and_leaf, breaks=("exception",))
def no_leaf_any_more(x, w):
    y = w * 2
    return y.requires_grad_(False)


@program(data_and_leaf)
def questions_of_histories(x, w):
    y = w * x
    asked = [w, x, y, y.detach(), x * 2]
    return [(t.is_leaf, t.grad_fn is None, t.grad is None, t.requires_grad) for t in asked]


@program(data_and_leaf)
def detached_in_place(x, w):
    y = w * x
    z = y * 2
    y.detach_()
    return y, z, y * 3, y.is_leaf


# ------------------------------------------------------------------------------------------ grad


@program(data_and_leaf)
def gradients_read_and_reset(x, w):
    (w * x).sum().backward()
    first = w.grad.clone()
    w.grad.zero_()
    w.grad.detach_()
    w.grad.requires_grad_(False)
    (w * w).sum().backward()
    w.grad.mul_(0.5)
    return first, w.grad


@program(data_and_leaf)
def gradients_of_what_a_write_outside_grad_mode_changed(x, w):
    with tg.no_grad():
        w.mul_(2)
    (w * x).sum().backward()
    return w.grad


# ------------------------------------------------------------------------------------------ backward through writes


@program(data_and_leaf)
def a_copy(x, w):
    y = tg.zeros(2, 3)
    y.copy_(w * 2)
    (y * 3).sum().backward()
    return w.grad


@program(data_and_leaf)
def parts_of_a_tensor(x, w):
    y = tg.zeros(2, 3)
    y[0] = w[0] * 2
    y[1] = w[1].exp()
    y[:, 1] = y[:, 0]
    (y * x).sum().backward()
    return w.grad


@program(data_and_leaf)
def activations_in_place(x, w):
    h = w * x
    h.relu_()
    h += x
    h.mul_(2)
    (h * 3).sum().backward()
    return w.grad, h.detach()


@program(data_and_leaf)
def a_loss_summed_up_in_place(x, w):
    loss = tg.zeros(())
    loss += (w * x).sum()
    loss += (w * w).sum()
    loss.backward()
    return loss.detach(), w.grad


@program(data_and_leaf)
def reads_between_writes(x, w):
    h = w * x
    a = h * 2
    h[0].zero_()
    b = h * 5
    h.T[1:].add_(w.T[1:])
    c = h * 7
    first, second = h.unbind(0)
    first.add_(second)
    (a.sum() + b.sum() + c.sum() + h.sum()).backward()
    return w.grad


@program(data_and_leaf)
def twice_through_a_write(x, w):
    h = w * x
    h.masked_fill_(x > 2, 0.0)
    h[:, 1] = h[:, 0]
    h.sum().backward(retain_graph=True)
    h.sum().backward()
    return w.grad


@program(data_and_leaf)
def states_of_a_loop(x, w):
    states, h = tg.zeros(3, 2, 3), x
    for step in range(3):
        h = tg.tanh(h * w)
        states[step] = h
    states.sum().backward()
    return w.grad, states.detach()


@program(data_and_leaf)
def a_write_outside_grad_mode_between(x, w):
    h = w * x
    with tg.no_grad():
        h.mul_(2)
    h.sum().backward()
    return w.grad, h.detach()


@program(data_and_leaf)
def a_formula_reads_what_was_overwritten(x, w):
    h = w * x
    h.mul_(w)
    h.sum().backward()
    return w.grad


@program(data_and_leaf, breaks=("backward",))
def a_gradient_of_what_was_written_to(x, w):
    h = w * x
    h.mul_(2)
    return autograd.grad((h * 3).sum(), [w, h])


def _kept():
    p = ramp()
    return p, {"old": p.view(-1)}


@program(_kept)
def what_shares_memory_is_replaced_unread(p, state):
    state["old"] = p.clone()
    p.add_(1)
    return p * state["old"]


@program()
def shapes_changed_in_place(x):
    y = x * 2
    row = y[1:]
    y.unsqueeze_(0).transpose_(1, 2)
    row.add_(1)
    y.squeeze_(0)
    y.t_()
    return y, row, y.mul_(3) is y, y.shape


@program(lambda: (ramp().requires_grad_(),))
def shapes_changed_on_the_way_of_gradients(x):
    y = x * 3
    y.unsqueeze_(0)
    (y * y).sum().backward()
    return y.detach(), x.grad


@program(lambda: (ramp().requires_grad_(),), breaks=("tensor-attribute",))
def new_shape_of_what_the_tape_saved(x):
    y = x.exp()
    y.unsqueeze_(0)
    y.sum().backward()


@program(breaks=("tensor-attribute",))
def argument_that_changes_its_shape(x):
    x.unsqueeze_(0)
    return x * 2


@program(classifier)
def frozen_for_a_while(net, x, y):
    with_grad = net(x)
    net.requires_grad_(False)
    constant = net(x)
    net.requires_grad_(True)
    loss = F.cross_entropy(net(x * 2) + constant, y)
    return loss, with_grad.requires_grad, constant.requires_grad, [p.requires_grad for p in net.parameters()]


@program(data_and_leaf)
def frozen_and_written_to(x, w):
    y = w * x
    w.requires_grad_(False)
    w.mul_(2)
    z = w * x
    w.requires_grad_(True)
    (y.sum() + (w * 3).sum()).backward()
    return z, w, w.grad


class Marked(nn.Parameter):
    def note(self) -> str:
        return f"{self.kind}!"


def _marked():
    plain, derived = nn.Parameter(ramp()), Marked(ramp())
    plain.scale, derived.kind = 2.0, "own"
    return plain, derived


@program(_marked, lambda: (nn.Parameter(ramp()), Marked(-ramp())))
def attributes_of_ones_own(plain, derived):
    scale, kind = getattr(plain, "scale", 3.0), getattr(derived, "kind", None)
    derived.kind = kind or "new"
    derived.seen = [*getattr(derived, "seen", ()), scale]
    return plain * scale, kind, derived.note(), derived.seen, hasattr(plain, "seen")


@program(data_and_leaf, breaks=("tensor-attribute",))
def a_result_whose_history_begins_in_memory_of_an_argument(x, w):
    leaf = x.detach().requires_grad_()
    return (leaf * leaf).sum(), leaf
