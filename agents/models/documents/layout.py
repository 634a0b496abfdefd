"""Where a line stands, as a vector (LayoutLM, Xu et al., 2020, arXiv:1912.13318). B pages, N lines, D width."""

from torch import Tensor, nn

SPREAD = 0.1
"""Deviation of the vectors of places, and gain of their norm, that it begins with: as large as vectors of words."""


class Layout(nn.Module):
    """LN(E_x(x0) + E_y(y0) + E_x(x1) + E_y(y1) + E_w(w) + E_h(h)), of a box on a grid.

    Corners share a table across and one down, as in LayoutLM.

    Args:
        grid: steps; a table has one row more, for the page's far edge.
        width: D.
    """

    def __init__(self, grid: int, width: int) -> None:
        super().__init__()
        self.grid = grid
        self.across, self.down, self.wide, self.high = (nn.Embedding(grid + 1, width) for _ in range(4))
        for table in (self.across, self.down, self.wide, self.high):
            nn.init.normal_(table.weight, std=SPREAD)
        self.norm = nn.LayerNorm(width)
        nn.init.constant_(self.norm.weight, SPREAD)

    def forward(self, boxes: Tensor) -> Tensor:
        """Return vectors [B, N, D] of boxes [B, N, 4], shares of the page."""
        left, top, right, bottom = self.places(boxes).unbind(-1)
        places = self.across(left) + self.down(top) + self.across(right) + self.down(bottom)
        found: Tensor = self.norm(places + self.wide(right - left) + self.high(bottom - top))
        return found

    def places(self, boxes: Tensor) -> Tensor:
        """Return the steps of the grid [..., 4] nearest to boxes' edges."""
        return (boxes * self.grid).round().long().clamp(0, self.grid)
