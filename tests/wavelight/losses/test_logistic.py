import torch

from wavelight.losses.logistic import fake_logistic_loss, r1_penalty, real_logistic_loss


def test_losses_are_cross_entropies():
    logits = torch.tensor([[-2.0], [0.5], [3.0]])
    probability = torch.sigmoid(logits)
    torch.testing.assert_close(real_logistic_loss(logits), -probability.log().mean())
    torch.testing.assert_close(fake_logistic_loss(logits), -(1 - probability).log().mean())


def test_r1_of_a_linear_score_is_its_squared_norm():
    weights = torch.randn(3, 4, 4)
    real = torch.randn(5, 3, 4, 4, requires_grad=True)
    logits = (real * weights).flatten(1).sum(1, keepdim=True)
    torch.testing.assert_close(r1_penalty(logits, real, gamma=0.2), 0.1 * weights.square().sum())


def test_r1_can_be_minimised():
    scale = torch.tensor(2.0, requires_grad=True)
    real = torch.ones(2, 1, 2, 2, requires_grad=True)
    logits = (scale * real**2).flatten(1).sum(1, keepdim=True)
    (gradient,) = torch.autograd.grad(r1_penalty(logits, real, gamma=2), scale)
    # Penalty: sum over 4 pixels of (2 scale)^2; its derivative: 4 * 8 * scale.
    torch.testing.assert_close(gradient, torch.tensor(64.0))
