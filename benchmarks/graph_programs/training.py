"""Training steps: losses, clipping, accumulation, mixed precision, loops and trainers."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from graph_programs import made, program


def mlp(inputs=8, outputs=3):
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, outputs))


@made("4x8 4<3", "4x8 4<3", "4x8 4<3")
def plain_step():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    criterion = nn.CrossEntropyLoss()

    def step(x, y):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    step.model = model
    return step


@made("4x8 4<3", "4x8 4<3", "4x8 4<3")
def adam_with_clipping():
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.01)

    def step(x, y):
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.detach(), norm

    return step


@made("8x8 8<3", "8x8 8<3")
def accumulation():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        total = 0.0
        for xs, ys in zip(x.chunk(4), y.chunk(4)):
            loss = F.cross_entropy(model(xs), ys) / 4
            loss.backward()
            total += loss.detach()
        optimizer.step()
        return total

    return step


@made("4x8 4<3", "4x8 4<3")
def autocast_step():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
            logits = model(x)
            loss = F.cross_entropy(logits.float(), y)
        loss.backward()
        optimizer.step()
        return logits.dtype == torch.bfloat16, loss.dtype == torch.float32

    return step


@made("4x8")
def autocast_decorator():
    model = mlp()

    @torch.autocast("cpu", dtype=torch.bfloat16)
    def run(x):
        y = model(x)
        with torch.autocast("cpu", enabled=False):
            z = y.float() @ y.float().T
        return z.dtype == torch.float32, y.dtype == torch.bfloat16

    return run


@made("4x8 4<3", "4x8 4<3")
def loss_scaling():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scale = 1024.0

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        (loss * scale).backward()
        found = torch.zeros(())
        for p in model.parameters():
            if p.grad is not None:
                p.grad.div_(scale)
                found = torch.maximum(found, (~torch.isfinite(p.grad)).any().float())
        optimizer.step()
        return loss.detach(), found

    return step


@made("4x8 4<3", "4x8 4<3")
def grad_scaler_disabled():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", enabled=False)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss.detach()

    return step


@made("4x8 4<3", "4x8 4<3")
def scalar_logged():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    log = []

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        log.append(loss.item())
        return len(log)

    return step


@made("4x8 4<3", "4x8 4<3")
def fit_loop():
    model = mlp()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)

    def fit(x, y):
        losses = []
        for epoch in range(3):
            for i in range(0, len(x), 2):
                xb, yb = x[i : i + 2], y[i : i + 2]
                loss = F.cross_entropy(model(xb), yb)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                losses.append(loss.detach())
        return torch.stack(losses).mean()

    return fit


@made("4x8 4<3")
def gradient_penalty():
    model = mlp(8, 1)

    def run(x, y):
        x = x.clone().requires_grad_(True)
        out = model(x)
        (g,) = torch.autograd.grad(out, x, grad_outputs=torch.ones_like(out), create_graph=True, retain_graph=True)
        penalty = ((g.view(g.size(0), -1).norm(2, dim=1) - 1) ** 2).mean()
        return penalty + out.mean()

    return run


@made("4x8 4x8")
def gan_step():
    generator, critic = mlp(8, 8), mlp(8, 1)
    og, oc = torch.optim.Adam(generator.parameters(), 1e-3), torch.optim.Adam(critic.parameters(), 1e-3)
    bce = nn.BCEWithLogitsLoss()

    def step(real, z):
        ones, zeros = torch.ones(real.size(0), 1), torch.zeros(real.size(0), 1)
        fake = generator(z)
        oc.zero_grad()
        d_loss = bce(critic(real), ones) + bce(critic(fake.detach()), zeros)
        d_loss.backward()
        oc.step()
        og.zero_grad()
        g_loss = bce(critic(fake), ones)
        g_loss.backward()
        og.step()
        return d_loss.detach(), g_loss.detach()

    return step


@made("4x8 4<3")
def eval_loop():
    model = mlp()

    @torch.inference_mode()
    def evaluate(x, y):
        model.eval()
        logits = model(x)
        correct = (logits.argmax(-1) == y).sum()
        return {"loss": F.cross_entropy(logits, y), "accuracy": correct / len(y)}

    return evaluate


@made("4x8 4<3", "4x8 4<3")
def trainer_class():
    class Trainer:
        def __init__(self):
            self.model = mlp()
            self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
            self.global_step = 0
            self.callbacks = [lambda t, loss: setattr(t, "last_loss", loss)]

        def training_step(self, batch):
            x, y = batch["x"], batch["y"]
            return F.cross_entropy(self.model(x), y)

        def run(self, x, y):
            self.model.train()
            self.optimizer.zero_grad()
            loss = self.training_step({"x": x, "y": y})
            loss.backward()
            self.optimizer.step()
            self.global_step += 1
            for callback in self.callbacks:
                callback(self, loss.detach())
            return self.last_loss, self.global_step

    trainer = Trainer()
    for p in trainer.model.parameters():
        nn.init.constant_(p, 0.1)
    return trainer.run


@made("4x8 4<3", "4x8 4<3", "4x8 4<3", "4x8 4<3")
def every_other_step():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    state = {"step": 0}

    def step(x, y):
        loss = F.cross_entropy(model(x), y) / 2
        loss.backward()
        state["step"] += 1
        if state["step"] % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()

    return step


@made("4x8 4<3")
def checkpointed():
    from torch.utils.checkpoint import checkpoint

    a, b = mlp(8, 8), mlp(8, 3)

    def run(x, y):
        h = checkpoint(a, x, use_reentrant=False)
        return F.cross_entropy(b(h), y)

    return run


@made("4x8 4x3 4<3", "4x8 4x3 4<3")
def distillation():
    student = mlp()

    def run(x, teacher_logits, y, temperature=2.0, alpha=0.5):
        logits = student(x)
        soft = F.kl_div(
            F.log_softmax(logits / temperature, dim=-1),
            F.softmax(teacher_logits / temperature, dim=-1),
            reduction="batchmean",
        )
        return alpha * soft * temperature**2 + (1 - alpha) * F.cross_entropy(logits, y)

    return run


@made("4x8 4<3")
def nan_check():
    model = mlp()

    def run(x, y):
        loss = F.cross_entropy(model(x), y)
        if torch.isnan(loss):
            raise ValueError("loss is nan")
        loss.backward()
        return [p.grad.sum() for p in model.parameters()]

    return run


@made("4x8 4<3")
def nan_to_zero_grads():
    model = mlp()

    def run(x, y):
        model.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()
        for param in model.parameters():
            if param.grad is not None:
                torch.nan_to_num(param.grad, nan=0.0, posinf=1e5, neginf=-1e5, out=param.grad)
        return sum(p.grad.abs().sum() for p in model.parameters())

    return run


@made("3x8 3<3")
def maml_inner_loop():
    model = nn.Linear(8, 3)

    def run(x, y):
        w, b = model.weight, model.bias
        for _ in range(2):
            loss = F.cross_entropy(F.linear(x, w, b), y)
            gw, gb = torch.autograd.grad(loss, (w, b), create_graph=True)
            w, b = w - 0.1 * gw, b - 0.1 * gb
        return F.cross_entropy(F.linear(x, w, b), y)

    return run


@made("4x8 4<3")
def set_grad_enabled_switch():
    model = mlp()

    def run(x, y, train=True):
        with torch.set_grad_enabled(train):
            out = model(x)
        with torch.enable_grad():
            loss = F.cross_entropy(out, y)
        return loss, torch.is_grad_enabled(), out.requires_grad

    return run


@made("4x8 4<3", "6x8 6<3", "7x8 7<3")
def varying_batch():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y, reduction="sum") / x.size(0)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


@made("4x8 4<3")
def multi_task():
    trunk = mlp(8, 8)
    heads = nn.ModuleDict({"a": nn.Linear(8, 3), "b": nn.Linear(8, 1)})
    log_vars = nn.Parameter(torch.zeros(2))

    def run(x, y):
        h = trunk(x)
        outs = {name: head(h) for name, head in heads.items()}
        losses = {"a": F.cross_entropy(outs["a"], y), "b": F.mse_loss(outs["b"].squeeze(-1), y.float())}
        total = 0
        for i, (name, loss) in enumerate(losses.items()):
            total = total + torch.exp(-log_vars[i]) * loss + log_vars[i]
        total.backward()
        return total, {k: v.item() for k, v in losses.items()}

    return run


@program("4x8~")
def grad_of_input(x):
    y = (x**2).sum()
    y.backward()
    g = x.grad.clone()
    x.grad.zero_()
    x.grad = None
    return g, x.grad is None


@program("4x8~")
def retain_graph_twice(x):
    y = x.exp()
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    return x.grad


@program("4x8~")
def detach_chain(x):
    h = torch.zeros(4, 8)
    for i in range(4):
        h = torch.tanh(h + x)
        if i % 2 == 1:
            h = h.detach()
    return h + x


@program("4x8~")
def stop_gradient_trick(x):
    q = torch.round(x)
    y = x + (q - x).detach()
    y.mean().backward()
    return y.detach(), x.grad
