"""Optimisers and schedulers, and updates of parameters that are written by hand."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made


def mlp(inputs=8, outputs=3):
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, outputs))


@made("4x8 4<3", "4x8 4<3", "4x8 4<3", "4x8 4<3")
def scheduled():
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss.detach(), optimizer.param_groups[0]["lr"]

    return step


@made("4x8 4<3", "4x8 4<3", "4x8 4<3", "4x8 4<3")
def warmup_lambda():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    warmup = 3
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: s / warmup if s < warmup else 0.5 * (1 + math.cos(math.pi * s / 10))
    )

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss.detach(), scheduler.get_last_lr()[0]

    return step


@made("4x8", "4x8", "4x8")
def ema_update():
    model, shadow = mlp(), mlp()
    decay = 0.99

    @torch.no_grad()
    def update(x):
        for p, s in zip(model.parameters(), shadow.parameters()):
            s.copy_(s * decay + p * (1 - decay))
        for b, t in zip(model.buffers(), shadow.buffers()):
            t.copy_(b)
        return shadow(x)

    return update


@made("4x8", "4x8", "4x8", is_random=True)
def ema_by_name():
    model = mlp()

    class EMA:
        def __init__(self, model, decay):
            self.decay = decay
            self.step = 0
            self.shadow = {n: p.clone().detach() for n, p in model.named_parameters()}

        def update(self, model):
            self.step += 1
            d = min(self.decay, (1 + self.step) / (10 + self.step))
            for n, p in model.named_parameters():
                if p.requires_grad:
                    self.shadow[n] = d * self.shadow[n] + (1.0 - d) * p.detach()

    ema = EMA(model, 0.9)

    def run(x):
        ema.update(model)
        return model(x), ema.shadow["0.weight"].sum()

    return run


@made("4x8 4<3", "4x8 4<3")
def lerp_target_network():
    online, target = mlp(), mlp()
    target.load_state_dict(online.state_dict())

    def run(x, y):
        with torch.no_grad():
            for t, o in zip(target.parameters(), online.parameters()):
                t.lerp_(o, 0.05)
                t.data.mul_(1.0)
        return target(x)

    return run


@made("4x8 4<3", "4x8 4<3", "4x8 4<3")
def param_groups():
    model = mlp()
    decay = [p for n, p in model.named_parameters() if p.dim() > 1]
    rest = [p for n, p in model.named_parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], lr=1e-2
    )

    def step(x, y):
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * 0.9
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


@made("4x8 4<3", "4x8 4<3", "4x8 4<3")
def manual_sgd():
    model = mlp()

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        grads = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for p, g in zip(model.parameters(), grads):
                p -= 0.1 * g
        return loss.detach()

    return step


@made("4x8 4<3", "4x8 4<3")
def manual_with_data():
    model = mlp()

    def step(x, y):
        model.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        for p in model.parameters():
            p.data.add_(p.grad.data, alpha=-0.1)
        return loss.detach()

    return step


@made("4x8 4<3", "4x8 4<3")
def clip_by_value():
    model = mlp()
    optimizer = torch.optim.Adagrad(model.parameters(), lr=1e-2)

    def step(x, y):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y, label_smoothing=0.1).backward()
        torch.nn.utils.clip_grad_value_(model.parameters(), 0.1)
        grads = [p.grad.norm() for p in model.parameters() if p.grad is not None]
        optimizer.step()
        return torch.stack(grads)

    return step


@made("4x8 4<3", "4x8 4<3", "4x8 4<3")
def plateau():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step(loss.item())
        return loss.detach()

    return step


@made("4x8 4<3", "4x8 4<3", "4x8 4<3")
def chained_schedulers():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 2)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [warm, cosine], milestones=[2])

    def step(x, y):
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        return optimizer.param_groups[0]["lr"]

    return step


def step_by_closure(model, optimizer):
    def step(x, y):
        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        return optimizer.step(closure).detach()

    return step


@made("4x8 4<3")
def closure_step():
    model = mlp()
    return step_by_closure(model, torch.optim.SGD(model.parameters(), lr=0.1))


@made("4x8 4<3")
def lbfgs_step():
    model = mlp()
    return step_by_closure(model, torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3))


@made("4x8 4<3", "4x8 4<3")
def averaged_model():
    model = mlp()
    swa = torch.optim.swa_utils.AveragedModel(model)

    def run(x, y):
        swa.update_parameters(model)
        return swa(x)

    return run


@made("4x8 4<3")
def parameters_to_vector():
    model = mlp()

    def run(x, y):
        v = nn.utils.parameters_to_vector(model.parameters())
        nn.utils.vector_to_parameters(v * 1.5, model.parameters())
        return model(x), v.norm()

    return run


@made("4x8 4<3", "4x8 4<3", "4x8 4<3")
def adam_by_hand():
    model = nn.Linear(8, 3)
    state = {p: (torch.zeros_like(p), torch.zeros_like(p)) for p in model.parameters()}
    t = [0]

    def step(x, y):
        model.zero_grad()
        F.cross_entropy(model(x), y).backward()
        t[0] += 1
        with torch.no_grad():
            for p, (m, v) in state.items():
                m.mul_(0.9).add_(p.grad, alpha=0.1)
                v.mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)
                p.addcdiv_(m / (1 - 0.9 ** t[0]), (v / (1 - 0.999 ** t[0])).sqrt().add_(1e-8), value=-0.01)
        return t[0], model.weight.sum()

    return step
